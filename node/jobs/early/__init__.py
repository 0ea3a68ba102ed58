"""Work on a series that appears complete, before its quiet time has ended."""
