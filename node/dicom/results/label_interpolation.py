"""Labels between slices, by the shape of what is labelled (Raya and Udupa 1990)."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.uint8]
# A place this near to a slice is that slice's: a fiftieth moves no boundary by a pixel.
_AT_A_SLICE = 0.02


def slices_at(labels: Labels, places: NDArray[np.float64]) -> Labels:
    """The labels (slice, row, column) at other `places` (N,), counted in slices from 0.

    Between two slices a label's edge moves evenly from the one's to the other's.
    """
    last = len(labels) - 1
    found = np.empty((len(places), *labels.shape[1:]), dtype=labels.dtype)
    for k, place in enumerate(np.clip(places, 0, last)):
        nearest = round(float(place))
        if abs(place - nearest) <= _AT_A_SLICE:
            found[k] = labels[nearest]
        else:
            below = int(place)
            found[k] = _between(labels[below], labels[below + 1], float(place) - below)
    return found


def _between(below: Labels, above: Labels, share: float) -> Labels:
    """The labels `share` of the way from one slice to the next, (row, column)."""
    mixed = np.zeros_like(below)
    deepest = np.zeros(below.shape)
    for label in np.union1d(below, above):
        if label == 0:
            continue
        depth = (1 - share) * _depth(below == label) + share * _depth(above == label)
        here = depth > deepest
        mixed[here], deepest[here] = label, depth[here]
    return mixed


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far each pixel is inside, in pixels; negative outside. Far away where nothing is."""
    if not inside.any():
        return np.full(inside.shape, -float(sum(inside.shape)))
    if inside.all():
        return np.full(inside.shape, float(sum(inside.shape)))
    depth: NDArray[np.float64] = np.where(
        inside,
        ndimage.distance_transform_edt(inside) - 0.5,
        0.5 - ndimage.distance_transform_edt(~inside),
    )
    return depth
