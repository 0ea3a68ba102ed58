"""One labelled CT: its files, and its volume in HU with the ground truth as a mask on its grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.data.ground_truth import GroundTruth, read_ground_truth
from models.data.images import read_image
from models.errors import ModelsError
from models.manifest import Label
from models.mask import Mask

# Reads a folder of DICOM CT as a volume in HU; the caller supplies it, `models` reads no series.
ReadSeries = Callable[[Path], hd.Volume]
# By label name: the values of the data set, or their names, that the label combines.
LabelMap = Mapping[str, Sequence[int | str]]

# Rounding in headers may move a grid by a hundredth of a common voxel.
_GRID_TOLERANCE_MM = 0.01


class InvalidDataset(ModelsError):
    """A data set cannot be used; the message names the case and what is wrong with it."""


@dataclass(frozen=True)
class Case:
    """`image` is a NIfTI or NRRD file, or a folder of DICOM CT; `truth` a NIfTI or NRRD file, a
    DICOM SEG, or a folder of one picture for each slice; None if the case has no labels.

    `names` maps values of the ground truth to names, as far as the data set gives them.
    """

    name: str
    image: Path
    truth: Path | None
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledVolume:
    """A CT in HU, axes slice, row, column, and the ground truth on its grid.

    The mask has only the labels that the data set outlines.
    """

    name: str
    volume: hd.Volume = field(repr=False)
    truth: Mask = field(repr=False)


def load_case(
    case: Case,
    labels: tuple[Label, ...],
    mapping: LabelMap | None = None,
    read_series: ReadSeries | None = None,
) -> LabelledVolume:
    """Reads image and ground truth.

    Without a `mapping`, a value belongs to the label of the same name if the data set has names,
    else to the label of the same number. The ground truth has only the labels that the data set
    outlines: a missing outline does not mean a missing organ.

    Raises:
        InvalidDataset: a file cannot be read, the ground truth lies on another grid than the
            image, the mapping has an unknown name, or none of the labels is known.
    """
    volume = load_image(case, read_series)
    truth = load_ground_truth(case, volume)
    classes = np.zeros(volume.spatial_shape, dtype=np.uint8)
    outlined = []
    for label in labels:
        values = _values(case, truth, label, mapping)
        # A mapping states that the data set outlines the label, even if this case lacks it.
        if values or (mapping and label.name in mapping):
            outlined.append(label)
            classes[np.isin(truth.values.array, values)] = label.index
    if not outlined:
        wanted = ", ".join(label.name for label in labels)
        raise InvalidDataset(f"{case.name}: {case.truth} has none of the labels {wanted}; map them")
    return LabelledVolume(case.name, volume, Mask(volume.with_array(classes), tuple(outlined)))


def load_image(case: Case, read_series: ReadSeries | None = None) -> hd.Volume:
    """Reads the CT in HU.

    Raises:
        InvalidDataset: the CT cannot be read.
    """
    try:
        if case.image.is_dir():
            if read_series is None:
                raise InvalidDataset(f"{case.name}: {case.image} is DICOM, which is not read here")
            return read_series(case.image)
        return read_image(case.image)
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{case.name}: {case.image}: {error}") from error


def load_ground_truth(case: Case, volume: hd.Volume) -> GroundTruth:
    """Reads the values of the ground truth on the image's grid.

    Raises:
        InvalidDataset: the case has no labels, they cannot be read, or they lie on another grid.
    """
    if case.truth is None:
        raise InvalidDataset(f"{case.name}: {case.image} has no labels")
    try:
        truth = read_ground_truth(case.truth, volume, case.image)
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{case.name}: {case.truth}: {error}") from error
    if not same_grid(truth.values, volume):
        raise InvalidDataset(
            f"{case.name}: the labels lie on another grid ({describe_grid(truth.values)}) than the "
            f"image ({describe_grid(volume)}); resample one of them onto the other's grid"
        )
    return truth


def same_grid(one: hd.Volume, other: hd.Volume) -> bool:
    """Whether both grids have the same voxels, within `_GRID_TOLERANCE_MM`."""
    if one.spatial_shape != other.spatial_shape:
        return False
    ends = np.array([[0, 0, 0], one.spatial_shape], dtype=float)
    corners: NDArray[np.float64] = np.stack(np.meshgrid(*ends.T, indexing="ij"), -1).reshape(-1, 3)
    distances = one.map_indices_to_reference(corners) - other.map_indices_to_reference(corners)
    return bool(np.abs(distances).max() <= _GRID_TOLERANCE_MM)


def describe_grid(volume: hd.Volume) -> str:
    """Describes size, spacing and position of a grid for an error message."""
    size = "×".join(map(str, volume.spatial_shape))
    spacing = " × ".join(f"{mm:.4g}" for mm in volume.spacing)
    position = ", ".join(f"{mm:.1f}" for mm in volume.position)
    return f"{size} voxels of {spacing} mm from ({position})"


def _values(case: Case, truth: GroundTruth, label: Label, mapping: LabelMap | None) -> list[int]:
    """Returns the values of the ground truth that belong to the label."""
    names = dict(case.names) | dict(truth.names)
    if mapping:
        wanted = mapping.get(label.name, [])
        return [value for one in wanted for value in _mapped_values(case, names, one)]
    if names:
        accepted = {label.name.casefold(), label.type.value}
        return [value for value, name in names.items() if _aliases(name) & accepted]
    return [label.index]


def _mapped_values(case: Case, names: Mapping[int, str], wanted: int | str) -> list[int]:
    if isinstance(wanted, int):
        return [wanted]
    found = [value for value, name in names.items() if wanted.casefold() in _aliases(name)]
    # A segmentation lacks the segment of an absent organ. Names that hold for the whole data set
    # do not depend on the case, so a name that is not among them is a mistake.
    if not found and case.names:
        known = ", ".join(case.names.values())
        raise InvalidDataset(f"{case.name}: no label is called {wanted!r}; known: {known}")
    return found


def _aliases(name: str) -> set[str]:
    """Returns the names a mapping may use: the whole name and its parts between `|`."""
    return {part.strip().casefold() for part in (name, *name.split("|"))}
