"""Counts the deliveries that run in this process, by destination."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RunningDeliveries:
    """The deliveries that run in this process; threads share it."""

    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def has(self, destination: str) -> bool:
        """Whether one to this destination runs."""
        with self._lock:
            return self._counts[destination] > 0

    @contextmanager
    def counted(self, destination: str) -> Iterator[None]:
        """Counts one while the `with` block runs."""
        with self._lock:
            self._counts[destination] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[destination] -= 1
