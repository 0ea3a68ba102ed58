"""The command line: `segnode COMMAND`. Each command imports what it needs when it runs."""

from node.cli.main import main

__all__ = ["main"]
