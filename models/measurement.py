"""Measures organs: volume in mL, attenuation in HU, and how completely the images show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.manifest import Label
from models.mask import Box, Mask

_MM3_PER_ML = 1000.0
# A smaller separate part is a speck at the edge of an organ, not a part that a reader looks for.
MIN_COMPONENT_ML = 1.0
# The value that the reader of CT gives to pixels outside the reconstructed circle.
_PADDING_HU = -1024
_ALL_NEIGHBOURS = np.ones((3, 3, 3), dtype=np.bool_)
# SNOMED CT codes of the label types that the attenuation ratio compares.
_LIVER, _SPLEEN = "10200004", "78961009"


@dataclass(frozen=True)
class Measurement:
    """The measurements of one organ; the attenuations are None if the organ was not found.

    `cut_by_series` means that the organ reaches the first or last slice. It may continue outside
    the series, so `volume_ml` is a lower bound. The same holds for `touches_field_of_view`: the
    organ reaches the edge of the images, or the edge of the reconstructed circle.
    `sd_hu` is the standard deviation over all voxels. `component_count` counts the parts that do
    not touch each other, of at least `MIN_COMPONENT_ML`. `holes_ml` is background that the organ
    encloses completely; it is not part of `volume_ml`. `window_agreement` is the Dice coefficient
    of the overlapping windows of the inference, None if it is not measured.
    """

    volume_ml: float
    mean_hu: float | None
    cut_by_series: bool
    touches_field_of_view: bool = False
    sd_hu: float | None = None
    min_hu: float | None = None
    max_hu: float | None = None
    component_count: int = 0
    holes_ml: float = 0.0
    window_agreement: float | None = None

    @property
    def is_lower_bound(self) -> bool:
        """Whether the images do not show the whole organ, so that its volume is a lower bound."""
        return self.cut_by_series or self.touches_field_of_view


_NOT_FOUND = Measurement(volume_ml=0.0, mean_hu=None, cut_by_series=False)


def measure(volume: hd.Volume, mask: Mask) -> dict[str, Measurement]:
    """Measures each label of `mask` in `volume` (HU), by label name; both lie on the same grid.

    Raises:
        ValueError: the grids differ.
    """
    if not volume.geometry_equal(mask.volume):
        raise ValueError("the volume and the mask are not on the same grid")
    edge = _edge_of_field(volume)
    measurements: dict[str, Measurement] = {}
    for label in mask.labels:
        box = mask.box_of(label)
        measurements[label.name] = (
            _NOT_FOUND if box is None else _measure_organ(volume, mask, label, box, edge)
        )
    return measurements


def is_found(measurement: Measurement, label: Label) -> bool:
    """Whether the organ is large enough to count as found."""
    return measurement.volume_ml > 0 and measurement.volume_ml >= label.min_volume_ml


def liver_spleen_ratio(
    measurements: Mapping[str, Measurement], labels: Sequence[Label]
) -> float | None:
    """Returns the mean attenuation of the liver divided by that of the spleen.

    It is None if one of them was not found, or if the spleen's mean is not positive: a ratio of
    values around the zero of the Hounsfield scale means nothing.
    """
    means = {
        label.type.value: measurements[label.name].mean_hu
        for label in labels
        if label.type.scheme == "SCT" and is_found(measurements[label.name], label)
    }
    liver, spleen = means.get(_LIVER), means.get(_SPLEEN)
    if liver is None or spleen is None or spleen <= 0:
        return None
    return liver / spleen


def _measure_organ(
    volume: hd.Volume,
    mask: Mask,
    label: Label,
    box: Box,
    edge: NDArray[np.bool_],
) -> Measurement:
    """Measures the label within its bounding box; `edge` is that of the field, (row, column)."""
    labels = mask.volume.array[box]  # (slice, row, column)
    inside = labels == label.index
    hu = volume.array[box][inside]  # (N,)
    voxel_ml = float(mask.volume.voxel_volume) / _MM3_PER_ML
    return Measurement(
        volume_ml=len(hu) * voxel_ml,
        mean_hu=float(hu.mean(dtype=np.float64)),
        cut_by_series=box[0].start == 0 or box[0].stop == len(volume.array),
        touches_field_of_view=bool((inside.any(axis=0) & edge[box[1:]]).any()),
        sd_hu=float(hu.std(dtype=np.float64)),
        min_hu=float(hu.min()),
        max_hu=float(hu.max()),
        component_count=_count_components(inside, voxel_ml),
        holes_ml=_count_enclosed(inside, labels == 0) * voxel_ml,
    )


def _edge_of_field(volume: hd.Volume) -> NDArray[np.bool_]:
    """Returns the pixels at the edge of the field of view, (row, column).

    They are the first and last rows and columns, the pixels outside the reconstructed circle, and
    those beside them. Outside is what is padding in all slices as far as a corner of the images.
    """
    padding = volume.array.max(axis=0) <= _PADDING_HU
    numbers, _ = ndimage.label(padding)
    corners = np.unique(numbers[[0, 0, -1, -1], [0, -1, 0, -1]])
    outside = np.isin(numbers, corners[corners > 0])
    edge: NDArray[np.bool_] = ndimage.binary_dilation(outside, _ALL_NEIGHBOURS[0])
    edge[[0, -1]] = True
    edge[:, [0, -1]] = True
    return edge


def _count_components(inside: NDArray[np.bool_], voxel_ml: float) -> int:
    """Counts the parts of at least `MIN_COMPONENT_ML`; an organ has at least one.

    Voxels of one part touch at a face, an edge or a corner (26-connected).
    """
    numbers, count = ndimage.label(inside, _ALL_NEIGHBOURS)
    if count == 1:
        return 1
    sizes_ml = np.bincount(numbers.ravel())[1:] * voxel_ml
    return max(1, int(np.count_nonzero(sizes_ml >= MIN_COMPONENT_ML)))


def _count_enclosed(inside: NDArray[np.bool_], background: NDArray[np.bool_]) -> int:
    """Counts the voxels of `background` that the organ encloses; both fill its bounding box.

    Outside is what is connected by faces to a side of the box: the complement of a 26-connected
    organ.
    """
    numbers, count = ndimage.label(~inside)
    enclosed = np.ones(count + 1, dtype=np.bool_)
    enclosed[0] = False  # the organ
    for axis in range(inside.ndim):
        for end in (0, -1):
            enclosed[numbers.take(end, axis)] = False
    if not enclosed.any():
        return 0
    return int(np.count_nonzero(enclosed[numbers] & background))
