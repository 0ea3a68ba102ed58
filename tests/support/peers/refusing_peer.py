"""Helpers of the refusal tests: change a series, and check the reason of its refusal."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.dicom.ct.reader import read_series
from node.domain.errors import Rejected, RejectionReason


def refusal(paths: list[Path], reason: RejectionReason) -> str:
    """Returns the message of the refusal; checks its reason."""
    with pytest.raises(Rejected) as caught:
        read_series(paths)
    message = str(caught.value)
    assert caught.value.reason is reason, message
    assert "PHANTOM" not in message  # never a patient's name
    return message


def every(change: Callable[[Dataset], None]) -> Callable[[int, Dataset], None]:
    return lambda _index, dataset: change(dataset)


def only(index: int, change: Callable[[Dataset], None]) -> Callable[[int, Dataset], None]:
    def apply(at: int, dataset: Dataset) -> None:
        if at == index:
            change(dataset)

    return apply
