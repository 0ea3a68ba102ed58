"""The cost of reading a series is in proportion to its slices."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from node.dicom.ct.reader import parts_of_series, read_series
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series

_FEW, _MANY = 20, 80


def calls_of(function: Callable[[], object]) -> int:
    """Returns the number of function calls in a call, which no load of the machine changes."""
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


def test_four_times_the_slices_take_at_most_four_times_the_calls(tmp_path: Path) -> None:
    costs = []
    for slices in (_FEW, _MANY):
        geometry = grid(slices=slices, rows=8, columns=8, spacing_mm=(1.0, 3.0, 3.0))
        folder = tmp_path / str(slices)
        folder.mkdir()
        paths = ct_series(geometry=geometry).write(folder)
        read_series(paths)  # what is computed once
        reads = (partial(read_series, paths), partial(parts_of_series, paths))
        costs.append([calls_of(read) for read in reads])
    for few, many in zip(*costs, strict=True):
        assert many <= _MANY / _FEW * few * 1.05
