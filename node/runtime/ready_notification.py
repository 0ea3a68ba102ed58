"""Readiness notification from a process to its supervisor, by a pipe."""

import os

# Environment variable with the pipe's file descriptor; absent without a supervisor.
READY_VARIABLE = "READY_FD"


def notify_ready() -> None:
    """Notifies the supervisor once that this process is ready."""
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if descriptor:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
