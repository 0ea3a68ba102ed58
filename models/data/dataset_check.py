"""Checks a data set: reports the content of each case and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
import numpy as np

from models.data.case import Case, InvalidDataset, ReadSeries, load_ground_truth, load_image
from models.data.layouts import DataSet


@dataclass(frozen=True)
class CaseReport:
    """The content of a case on disk. `problem` is empty if nothing is wrong.

    `spacing_mm` and `size` are slice, row, column; `hu` is the minimum and maximum; `labels` is the
    volume in mL of each value of the ground truth, by its name if it has one.
    """

    name: str
    spacing_mm: tuple[float, ...] = ()
    size: tuple[int, ...] = ()
    hu: tuple[float, float] | None = None
    labels: dict[str, float] | None = None
    problem: str = ""


def check_dataset(dataset: DataSet, read_series: ReadSeries | None = None) -> Iterator[CaseReport]:
    """Yields a report of each case; a file that cannot be read is the case's `problem`."""
    for case in dataset.cases:
        yield _report(case, read_series)


def _report(case: Case, read_series: ReadSeries | None) -> CaseReport:
    try:
        volume = load_image(case, read_series)
    except InvalidDataset as error:
        return CaseReport(case.name, problem=str(error))
    spacing = tuple(float(mm) for mm in volume.spacing)
    size = tuple(int(n) for n in volume.spatial_shape)
    hu = float(volume.array.min()), float(volume.array.max())
    labels, problem = _labels(case, volume)
    return CaseReport(case.name, spacing, size, hu, labels, problem or _implausible_hu(hu))


def _labels(case: Case, volume: hd.Volume) -> tuple[dict[str, float] | None, str]:
    """Returns the volume in mL of each value of the ground truth, and what is wrong with it."""
    try:
        truth = load_ground_truth(case, volume)
    except InvalidDataset as error:
        return None, str(error)
    names = dict(case.names) | dict(truth.names)
    values, counts = np.unique(truth.values.array, return_counts=True)
    voxel_ml = float(volume.voxel_volume) / 1000
    volumes_ml = {
        names.get(int(value), str(value)): float(count) * voxel_ml
        for value, count in zip(values, counts, strict=True)
        if value != 0
    }
    return volumes_ml, "" if volumes_ml else f"{case.name}: the labels are empty"


def _implausible_hu(hu: tuple[float, float]) -> str:
    """Returns what is implausible about the range of values, or an empty text."""
    low, high = hu
    if low >= -100 or high <= 100:
        return f"values from {low:g} to {high:g} do not look like Hounsfield units"
    return ""
