"""The health of the site: its problems with their remedies, its activity, drift of its results."""
