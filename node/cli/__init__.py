"""The command line: `segnode COMMAND`; importing it imports no torch."""

from node.cli.main import main

__all__ = ["main"]
