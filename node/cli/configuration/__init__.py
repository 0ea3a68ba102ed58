"""The command group `config`, and `reload`."""
