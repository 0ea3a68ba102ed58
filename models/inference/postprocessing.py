"""Removes from a mask what is not an organ: smaller components and implausibly small organs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.mask import Box, Mask


def keep_largest(mask: Mask) -> Mask:
    """Keeps the largest connected component of each label (faces, edges and corners connect)."""
    removed: list[tuple[Box, NDArray[np.bool_]]] = []
    for label in mask.labels:
        box = mask.box_of(label)
        if box is None:
            continue
        inside = mask.volume.array[box] == label.index
        components, count = ndimage.label(inside, structure=np.ones((3, 3, 3)))
        if count > 1:
            sizes = np.bincount(components.ravel(), minlength=count + 1)
            sizes[0] = 0  # the background
            removed.append((box, inside & (components != sizes.argmax())))
    return _without(mask, removed)


def remove_small(mask: Mask) -> Mask:
    """Removes each organ that is smaller than its label's `min_volume_ml`."""
    voxel_ml = float(mask.volume.voxel_volume) / 1000
    removed: list[tuple[Box, NDArray[np.bool_]]] = []
    for label in mask.labels:
        box = mask.box_of(label)
        if box is None:
            continue
        inside = mask.volume.array[box] == label.index
        if np.count_nonzero(inside) * voxel_ml < label.min_volume_ml:
            removed.append((box, inside))
    return _without(mask, removed)


def _without(mask: Mask, removed: Sequence[tuple[Box, NDArray[np.bool_]]]) -> Mask:
    """Returns the mask without voxels, given by boxes and which of their voxels."""
    if not removed:
        return mask
    kept = mask.volume.array.copy()
    for box, voxels in removed:
        kept[box][voxels] = 0
    return Mask(mask.volume.with_array(kept), mask.labels)
