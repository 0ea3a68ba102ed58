"""The configuration as revisions in the database: changes, roll back, and the switch of processes."""
