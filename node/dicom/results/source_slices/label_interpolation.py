"""The labels of a mask on the source slices.

Where the source slices lie between those of the mask, labels are interpolated by their shape (Raya
and Udupa 1990).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.mask import Mask
from node.dicom.ct.reader import CtSeries

Labels = NDArray[np.uint8]
# An index this close to a slice takes that slice unchanged: a fiftieth of the slice distance moves
# no boundary by a pixel.
_SLICE_INDEX_TOLERANCE = 0.02


def labels_on_source_slices(mask: Mask, source: CtSeries) -> Labels:
    """Returns the labels (slice, row, column) on the source slices, in the order of the volume."""
    labels: Labels = mask.volume.array
    if not source.is_resampled:
        return labels
    grid = source.grid
    if not grid.has_source_slices:
        labels = interpolate_labels(labels, np.asarray(grid.slice_indices))
    return np.stack([labels[(k, *grid.window(k))] for k in range(source.slice_count)])


def interpolate_labels(labels: Labels, slice_indices: NDArray[np.float64]) -> Labels:
    """Returns the labels (slice, row, column) at fractional `slice_indices` (N,), from 0.

    Between two slices, the edge of a label moves linearly from one contour to the other.
    """
    last = len(labels) - 1
    found = np.empty((len(slice_indices), *labels.shape[1:]), dtype=labels.dtype)
    for k, index in enumerate(np.clip(slice_indices, 0, last)):
        nearest = round(float(index))
        if abs(index - nearest) <= _SLICE_INDEX_TOLERANCE:
            found[k] = labels[nearest]
        else:
            below = int(index)
            found[k] = _between(labels[below], labels[below + 1], float(index) - below)
    return found


def _between(below: Labels, above: Labels, fraction: float) -> Labels:
    """Returns the labels at `fraction` of the distance between two slices, (row, column)."""
    mixed = np.zeros_like(below)
    deepest = np.zeros(below.shape)
    for label in np.union1d(below, above):
        if label == 0:
            continue
        depth = (1 - fraction) * _signed_distance(below == label) + fraction * _signed_distance(
            above == label
        )
        here = depth > deepest
        mixed[here], deepest[here] = label, depth[here]
    return mixed


def _signed_distance(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the distance to the edge in pixels: positive inside, negative outside.

    Without an edge, the distance is larger than the slice.
    """
    if not inside.any():
        return np.full(inside.shape, -float(sum(inside.shape)))
    if inside.all():
        return np.full(inside.shape, float(sum(inside.shape)))
    distance: NDArray[np.float64] = np.where(
        inside,
        ndimage.distance_transform_edt(inside) - 0.5,
        0.5 - ndimage.distance_transform_edt(~inside),
    )
    return distance
