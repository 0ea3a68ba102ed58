"""Waiting for a condition instead of a fixed time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(predicate: Callable[[], T], timeout_s: float, what: str, *, poll_s: float = 0.02) -> T:
    """Returns the first truthy value of `predicate`; raises AssertionError after `timeout_s`."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; it did not happen")
        pause.wait(poll_s)
