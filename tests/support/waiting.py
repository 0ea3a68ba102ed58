"""Waiting for a condition instead of a fixed time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# A wait ends at most a twentieth later than its condition, and takes no processor time from it.
_POLLS_PER_WAIT = 20
_MIN_POLL_S = 0.005
_MAX_POLL_S = 0.1


def until(
    predicate: Callable[[], T], timeout_s: float, what: str, *, poll_s: float | None = None
) -> T:
    """Returns the first truthy value of `predicate`; raises AssertionError after `timeout_s`.

    Without `poll_s` the pauses grow with the time waited.
    """
    pause = threading.Event()
    started = time.monotonic()
    while True:
        value = predicate()
        if value:
            return value
        waited_s = time.monotonic() - started
        if waited_s > timeout_s:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; it did not happen")
        growing_s = min(max(_MIN_POLL_S, waited_s / _POLLS_PER_WAIT), _MAX_POLL_S)
        pause.wait(growing_s if poll_s is None else poll_s)
