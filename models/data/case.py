"""One labelled CT: where it lies, and how it becomes a volume in HU with a mask on its grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.data.ground_truth import Truth, read_truth
from models.data.images import read_image
from models.errors import ModelsError
from models.manifest import Label
from models.mask import Mask

# Reads a folder of DICOM CT, which the models know nothing of, as a volume in HU.
ReadSeries = Callable[[Path], hd.Volume]
# For each label's name the values, or their names, that it takes together in a data set.
LabelMap = Mapping[str, Sequence[int | str]]

# Affines of one grid may differ by the rounding of a header: a hundredth of a common voxel.
_SAME_PLACE_MM = 0.01


class InvalidDataset(ModelsError):
    """Data cannot be used; the message names the case and what is wrong with it."""


@dataclass(frozen=True)
class Case:
    """`image` is a NIfTI or NRRD file, or a folder of DICOM CT; `truth` a NIfTI or NRRD file, a
    DICOM SEG, or a folder of one picture for each slice; None where there is none.

    `names` tells what the values of the truth stand for, as far as the data set says.
    """

    name: str
    image: Path
    truth: Path | None
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledVolume:
    """A CT in HU, axes slice, row, column, and the truth on its grid, of the labels it knows."""

    name: str
    volume: hd.Volume = field(repr=False)
    truth: Mask = field(repr=False)


def load_case(
    case: Case,
    labels: tuple[Label, ...],
    mapping: LabelMap | None = None,
    read_series: ReadSeries | None = None,
) -> LabelledVolume:
    """Read image and truth.

    Without a `mapping`, values go to the label of the same name where the data set has names,
    else to the label of the same number. The truth has the labels that the data set knows: of an
    organ that nobody has outlined it does not say that there is none.

    Raises:
        InvalidDataset: a file cannot be read, the truth lies on another grid than the image, the
            mapping names what is not there, or none of the labels is known.
    """
    volume = case_image(case, read_series)
    truth = case_truth(case, volume)
    classes = np.zeros(volume.spatial_shape, dtype=np.uint8)
    known = []
    for label in labels:
        values = _values(case, truth, label, mapping)
        # Whoever maps a label says that the data set outlines it, though a case may lack it.
        if values or (mapping and label.name in mapping):
            known.append(label)
            classes[np.isin(truth.values.array, values)] = label.index
    if not known:
        wanted = ", ".join(label.name for label in labels)
        raise InvalidDataset(f"{case.name}: {case.truth} has none of the labels {wanted}; map them")
    return LabelledVolume(case.name, volume, Mask(volume.with_array(classes), tuple(known)))


def case_image(case: Case, read_series: ReadSeries | None = None) -> hd.Volume:
    """The CT in HU.

    Raises:
        InvalidDataset: it cannot be read.
    """
    try:
        if case.image.is_dir():
            if read_series is None:
                raise InvalidDataset(f"{case.name}: {case.image} is DICOM, which is not read here")
            return read_series(case.image)
        return read_image(case.image)
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{case.name}: {case.image}: {error}") from error


def case_truth(case: Case, volume: hd.Volume) -> Truth:
    """The values of the truth on the image's grid.

    Raises:
        InvalidDataset: there is none, it cannot be read, or it lies on another grid.
    """
    if case.truth is None:
        raise InvalidDataset(f"{case.name}: {case.image} has no labels")
    try:
        truth = read_truth(case.truth, volume, case.image)
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{case.name}: {case.truth}: {error}") from error
    if not same_grid(truth.values, volume):
        raise InvalidDataset(
            f"{case.name}: the labels lie on another grid ({grid_text(truth.values)}) than the "
            f"image ({grid_text(volume)}); resample one of them onto the other's grid"
        )
    return truth


def same_grid(one: hd.Volume, other: hd.Volume) -> bool:
    """Whether every voxel of one lies where the other's does."""
    if one.spatial_shape != other.spatial_shape:
        return False
    ends = np.array([[0, 0, 0], one.spatial_shape], dtype=float)
    corners: NDArray[np.float64] = np.stack(np.meshgrid(*ends.T, indexing="ij"), -1).reshape(-1, 3)
    apart = one.map_indices_to_reference(corners) - other.map_indices_to_reference(corners)
    return bool(np.abs(apart).max() <= _SAME_PLACE_MM)


def grid_text(volume: hd.Volume) -> str:
    """Size, spacing and place of a grid, to be read by people."""
    size = "×".join(map(str, volume.spatial_shape))
    spacing = " × ".join(f"{mm:.4g}" for mm in volume.spacing)
    place = ", ".join(f"{mm:.1f}" for mm in volume.position)
    return f"{size} voxels of {spacing} mm from ({place})"


def _values(case: Case, truth: Truth, label: Label, mapping: LabelMap | None) -> list[int]:
    """The truth's values that belong to the label."""
    names = dict(case.names) | dict(truth.names)
    if mapping:
        wanted = mapping.get(label.name, [])
        found = [_value(case, names, one) for one in wanted]
        return [value for values in found for value in values]
    if names:
        same = (label.name.casefold(), label.type.value)
        return [value for value, name in names.items() if _plain(name) & set(same)]
    return [label.index]


def _value(case: Case, names: Mapping[int, str], wanted: int | str) -> list[int]:
    if isinstance(wanted, int):
        return [wanted]
    found = [value for value, name in names.items() if wanted.casefold() in _plain(name)]
    # A segmentation in which an organ is absent simply lacks it; a data set that names its values
    # for all cases does not.
    if not found and case.names:
        known = ", ".join(case.names.values())
        raise InvalidDataset(f"{case.name}: no label is called {wanted!r}; known: {known}")
    return found


def _plain(name: str) -> set[str]:
    """What a name may be asked for by: the whole, and the parts that `|` divides it into."""
    return {part.strip().casefold() for part in (name, *name.split("|"))}
