"""The number of function calls as a measure of cost, which no load of the machine changes."""

import sys
from collections.abc import Callable


def calls_of(function: Callable[[], object]) -> int:
    """Returns the number of function calls in a call."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls
