"""The cost of a series is in proportion to its slices."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from node.dicom.ct.headers import readable_headers
from node.dicom.ct.reader import parts_of_series, read_series
from node.web.viewer.source_slices import source_slices
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.dicom.results import content_of, encoded_seg
from tests.support.function_calls import calls_of

_FEW, _MANY = 20, 80


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The files of a short and of a long series."""
    folder = tmp_path_factory.mktemp("ct")
    return [
        ct_series(
            geometry=grid(slices=slices, rows=8, columns=8, spacing_mm=(120 / slices, 20.0, 20.0))
        ).write(folder / str(slices))
        for slices in (_FEW, _MANY)
    ]


def check_proportion(few: Callable[[], object], many: Callable[[], object]) -> None:
    """Checks that the calls of a function grow no faster than the slices."""
    for each in (few, many):
        each()  # what is computed once
    assert calls_of(many) <= _MANY / _FEW * calls_of(few) * 1.05


@pytest.mark.parametrize("read", [read_series, parts_of_series])
def test_four_times_the_slices_take_at_most_four_times_the_calls(
    series: list[list[Path]], read: Callable[[list[Path]], object]
) -> None:
    check_proportion(*(partial(read, paths) for paths in series))


def test_the_segmentation_of_a_long_series_is_encoded_in_proportion(
    series: list[list[Path]],
) -> None:
    contents = [content_of(read_series(paths)) for paths in series]
    check_proportion(*(partial(encoded_seg, content) for content in contents))


def test_slices_of_many_orientations_are_ordered_in_proportion(series: list[list[Path]]) -> None:
    def turned(paths: list[Path]) -> Iterator[Dataset]:
        for number, header in enumerate(readable_headers(paths)):
            angle = np.pi * number / len(paths)
            cosines = [np.cos(angle), np.sin(angle), 0, 0, 0, -1]
            header.ImageOrientationPatient = [f"{cosine:.6f}" for cosine in cosines]
            yield header

    headers = [list(turned(paths)) for paths in series]
    check_proportion(*(partial(source_slices, each) for each in headers))
