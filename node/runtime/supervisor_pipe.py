"""Signs of life from a process to its supervisor, by a pipe: the first says that it is ready."""

import os

# Environment variable with the pipe's file descriptor; absent without a supervisor.
PIPE_VARIABLE = "READY_FD"
# A process that gives no sign for ten of these hangs.
SIGN_SECONDS = 2.0


class SupervisorPipe:
    """The process's end of the pipe; without a supervisor it does nothing."""

    def __init__(self) -> None:
        # Removed, so that no process which this one starts takes it for its own.
        text = os.environ.pop(PIPE_VARIABLE, "")
        self._descriptor = int(text) if text else None
        if self._descriptor is not None:
            os.set_blocking(self._descriptor, False)

    def send_sign(self) -> None:
        """Tells the supervisor that this process is ready and works; never waits."""
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, b"1")
        except BlockingIOError:
            pass  # the supervisor does not read, and finds the earlier signs when it does
        except BrokenPipeError:
            self._descriptor = None  # the supervisor has ended, and ends this process
