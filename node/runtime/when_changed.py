"""Runs a periodic task only where it may have something to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


def always_idle() -> bool:
    """Says that a task has nothing to do before something changes."""
    return True


@dataclass
class WhenChanged:
    """A task that a timer calls often, and that runs when there may be something to do.

    That is when `version` differs from what it was before the last run, when the task itself is
    not idle, when its last run failed, and after `idle_seconds` without a run: what is due by time
    and changes that nobody reports are found then.
    """

    run: Callable[[], None]
    version: Callable[[], int]
    idle_seconds: float
    is_idle: Callable[[], bool] = always_idle
    clock: Callable[[], float] = time.monotonic
    _seen: int | None = field(default=None, init=False)
    _due_at: float = field(default=0.0, init=False)

    def __call__(self) -> None:
        """Runs the task, or does nothing."""
        version = self.version()
        if version == self._seen and self.is_idle() and self.clock() < self._due_at:
            return
        self._seen = None
        self.run()
        self._seen, self._due_at = version, self.clock() + self.idle_seconds
