"""Several listener processes on the same ports: the processes, and what they count together."""
