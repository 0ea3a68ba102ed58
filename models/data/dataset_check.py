"""What a data set holds, case by case, and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
import numpy as np

from models.data.case import Case, InvalidDataset, ReadSeries, case_image, case_truth
from models.data.layouts import DataSet


@dataclass(frozen=True)
class CaseFacts:
    """A case as it lies on disk. `problem` is empty where nothing is wrong.

    `spacing_mm` and `size` are slice, row, column; `hu` the lowest and highest value; `labels` the
    volume in mL of each value of the truth, by its name where it has one.
    """

    name: str
    spacing_mm: tuple[float, ...] = ()
    size: tuple[int, ...] = ()
    hu: tuple[float, float] | None = None
    labels: dict[str, float] | None = None
    problem: str = ""


def check_dataset(dataset: DataSet, read_series: ReadSeries | None = None) -> Iterator[CaseFacts]:
    """The facts of each case, one at a time; what cannot be read is told as its problem."""
    for case in dataset.cases:
        yield _facts(case, read_series)


def _facts(case: Case, read_series: ReadSeries | None) -> CaseFacts:
    try:
        volume = case_image(case, read_series)
    except InvalidDataset as error:
        return CaseFacts(case.name, problem=str(error))
    spacing = tuple(float(mm) for mm in volume.spacing)
    size = tuple(int(n) for n in volume.spatial_shape)
    hu = float(volume.array.min()), float(volume.array.max())
    labels, problem = _labels(case, volume)
    return CaseFacts(case.name, spacing, size, hu, labels, problem or _doubt(hu))


def _labels(case: Case, volume: hd.Volume) -> tuple[dict[str, float] | None, str]:
    """The truth's values with their mL, and what is wrong with it."""
    try:
        truth = case_truth(case, volume)
    except InvalidDataset as error:
        return None, str(error)
    names = dict(case.names) | dict(truth.names)
    values, counts = np.unique(truth.values.array, return_counts=True)
    voxel_ml = float(volume.voxel_volume) / 1000
    found = {
        names.get(int(value), str(value)): float(count) * voxel_ml
        for value, count in zip(values, counts, strict=True)
        if value != 0
    }
    return found, "" if found else f"{case.name}: the labels are empty"


def _doubt(hu: tuple[float, float]) -> str:
    """What the range of values makes doubtful."""
    low, high = hu
    if low >= -100 or high <= 100:
        return f"values from {low:g} to {high:g} do not look like Hounsfield units"
    return ""
