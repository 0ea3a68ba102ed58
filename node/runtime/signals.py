"""Waits for SIGTERM and SIGINT, and notes SIGHUP."""

import select
import signal
import socket

_MAX_SIGNALS = 4096
_STOP = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Handles SIGTERM, SIGINT and SIGHUP of the process; create it in the main thread.

    It uses a socket pair instead of an event: a handler interrupts the main thread, and setting
    an event that this thread waits for would deadlock.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._reload = ReloadSignal()
        self._stopped = False
        signal.set_wakeup_fd(self._sender.fileno())
        for number in _STOP:
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether a signal to stop has arrived; waits at most `timeout_s` s, forever if None.

        Returns earlier on any other signal.
        """
        wait_s = 0.0 if self._stopped else timeout_s
        readable, _, _ = select.select([self._receiver], [], [], wait_s)
        if readable:
            numbers = self._receiver.recv(_MAX_SIGNALS)
            self._stopped = self._stopped or any(number in _STOP for number in numbers)
        return self._stopped

    def reload_requested(self) -> bool:
        """Whether SIGHUP has arrived since the last call."""
        return self._reload.requested()


class ReloadSignal:
    """Handles SIGHUP, the request to read the configuration again; create it in the main thread."""

    def __init__(self) -> None:
        self._is_requested = False
        signal.signal(signal.SIGHUP, self._handle)

    def requested(self) -> bool:
        """Whether it has arrived since the last call."""
        was_requested, self._is_requested = self._is_requested, False
        return was_requested

    def _handle(self, _number: int, _frame: object) -> None:
        self._is_requested = True
