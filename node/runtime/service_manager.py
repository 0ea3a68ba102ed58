"""Notifications to systemd: ready, stopping, and signs of life (sd_notify(3))."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class ServiceManager:
    """The socket of the service manager; an empty address means that there is none.

    `watchdog_s` is the time without a sign of life after which it restarts the service; None: it
    does not watch.
    """

    address: str = ""
    watchdog_s: float | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """Reads NOTIFY_SOCKET and WATCHDOG_USEC, and removes them for the processes started."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        period = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "")
        is_for_us = process in ("", str(os.getpid()))
        return cls(address, int(period) / _MICROSECONDS if period and is_for_us else None)

    def notify_ready(self) -> None:
        """Tells that the node is up."""
        self._send("READY=1")

    def notify_stopping(self) -> None:
        """Tells that the node stops."""
        self._send("STOPPING=1")

    def notify_status(self, text: str) -> None:
        """Sets the line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def send_sign(self) -> None:
        """Tells that the node works."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self.address:
            return
        # An address that starts with @ is in the abstract namespace, as a null byte.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        # A service manager that is gone must not stop the node.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(message.encode(), address)
