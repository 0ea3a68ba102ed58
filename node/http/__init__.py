"""Requests to HTTP services, whose answers are limited in size, nesting and time."""
