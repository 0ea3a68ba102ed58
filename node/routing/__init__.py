"""Routing: rules as data, a decision that explains itself."""
