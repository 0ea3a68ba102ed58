"""The point at which the thread that serves an association's requests pauses.

An association of pynetdicom pauses that thread before it sends a request, or else the thread would
take the response. pynetdicom's own event lets the thread continue once more if it is paused again
right after it was released: the thread then takes and drops the first response of the next request.
For a query, that is a match.
"""

import threading
from collections.abc import Callable

# The thread may end instead of pausing, and does not say so.
_CHECK_SECONDS = 0.05


class Checkpoint:
    """What all that take the place of pynetdicom's event have in common: it is set or not."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the thread may pass."""
        return self._is_set

    def set(self) -> None:
        """Lets the thread pass."""
        with self._changed:
            self._is_set = True
            self._changed.notify_all()


class ReactorCheckpoint(Checkpoint):
    """Takes the place of the event of an association; the thread waits in `wait`.

    `must_pause` says whether `clear` waits for the thread: it has not ended, and is not the caller.
    """

    def __init__(self, must_pause: Callable[[], bool]) -> None:
        super().__init__()
        self._must_pause = must_pause
        self._is_parked = False  # the thread is in `wait`, and stays there until `set`

    def clear(self) -> None:
        """Pauses the thread; returns when it waits here, or has ended."""
        with self._changed:
            self._is_set = False
            while not self._is_parked and not self._is_set and self._must_pause():
                self._changed.wait(_CHECK_SECONDS)

    def wait(self) -> None:
        """Returns once the thread may pass."""
        with self._changed:
            while not self._is_set:
                self._is_parked = True
                self._changed.notify_all()
                self._changed.wait()
            self._is_parked = False
