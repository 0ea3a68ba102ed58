"""Query and retrieve: sources by name, searches for series, scheduled queries."""
