"""SIGTERM and Ctrl-C as something to wait for."""

import select
import signal
import socket


class StopSignal:
    """Takes SIGTERM and SIGINT over for the process; made in its main thread.

    Not by an event that the handler sets: a handler runs in the middle of what the main thread is
    doing, and an event that is being waited for cannot be set there without a deadlock.
    """

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        signal.set_wakeup_fd(self._writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the signal has come; waits for it at most `timeout_s`, without end if None."""
        readable, _, _ = select.select([self._reading], [], [], timeout_s)
        return bool(readable)
