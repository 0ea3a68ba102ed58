"""Tables of the configuration: its revisions, and the one that each process runs."""
