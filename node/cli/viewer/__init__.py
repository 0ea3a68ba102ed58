"""The command group `viewer`."""
