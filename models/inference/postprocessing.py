"""Removes from a mask what is not an organ: smaller components and implausibly small organs."""

import numpy as np
from scipy import ndimage

from models.mask import Mask


def keep_largest(mask: Mask) -> Mask:
    """Keeps the largest connected component of each label (faces, edges and corners connect)."""
    kept = np.zeros_like(mask.volume.array)
    for label in mask.labels:
        inside = mask.of(label)
        boxes = ndimage.find_objects(inside.astype(np.uint8))
        if not boxes or boxes[0] is None:
            continue
        box = boxes[0]
        components, count = ndimage.label(inside[box], structure=np.ones((3, 3, 3)))
        sizes = np.bincount(components.ravel(), minlength=count + 1)
        sizes[0] = 0  # the background
        kept[box][components == sizes.argmax()] = label.index
    return Mask(mask.volume.with_array(kept), mask.labels)


def remove_small(mask: Mask) -> Mask:
    """Removes each organ that is smaller than its label's `min_volume_ml`."""
    voxel_ml = float(mask.volume.voxel_volume) / 1000
    kept = mask.volume.array.copy()
    for label in mask.labels:
        inside = mask.of(label)
        if np.count_nonzero(inside) * voxel_ml < label.min_volume_ml:
            kept[inside] = 0
    return Mask(mask.volume.with_array(kept), mask.labels)
