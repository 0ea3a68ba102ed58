"""The command line with all its commands."""

from node.cli.main import command_line

app = command_line()
