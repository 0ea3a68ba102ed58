"""Waits for SIGTERM and SIGINT."""

import select
import signal
import socket


class StopSignal:
    """Handles SIGTERM and SIGINT of the process; create it in the main thread.

    It uses a socket pair instead of an event: a handler interrupts the main thread, and setting
    an event that this thread waits for would deadlock.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether a signal has arrived; waits at most `timeout_s` seconds, forever if None."""
        readable, _, _ = select.select([self._receiver], [], [], timeout_s)
        return bool(readable)
