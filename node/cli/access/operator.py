"""Who runs a command about access, and when."""

from datetime import UTC, datetime

from node.cli.options import operating_system_user


def operator() -> str:
    """Names who runs the command, for the audit trail."""
    return f"{operating_system_user()} (command line)"


def now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)
