"""Routing: rules as data, and decisions that record the verdict of every condition."""
