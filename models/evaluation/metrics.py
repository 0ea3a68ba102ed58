"""Compares an organ's mask with the ground truth: overlap, surfaces, volume (MONAI's metrics)."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Inside = NDArray[np.bool_]

# Surfaces closer than this count as the same in the normalised surface Dice: about the
# disagreement of two readers on an abdominal organ (Nikolov et al. 2021 use 1 to 3 mm).
TOLERANCE_MM = 3.0
_PERCENTILE = 95.0
# Voxels of margin around both masks, so that a surface at the edge of the crop stays a surface.
_MARGIN = 2


@dataclass(frozen=True)
class Scores:
    """The scores of one organ. None means not measured, because a mask is empty.

    `dice` and `surface_dice` in 0..1, `hd95_mm` the 95th percentile of surface distances in
    both directions, `volume_error` (mask - truth) / truth, `accuracy` the fraction of voxels with
    equal labels.
    """

    dice: float | None
    surface_dice: float | None
    hd95_mm: float | None
    volume_error: float | None
    accuracy: float
    truth_ml: float
    found_ml: float


def compare(
    found: Inside,
    truth: Inside,
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = TOLERANCE_MM,
) -> Scores:
    """Scores `found` against `truth`, both (slice, row, column) with voxels of `spacing_mm`."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    found_voxels, truth_voxels = int(found.sum()), int(truth.sum())
    both = int((found & truth).sum())
    total = found_voxels + truth_voxels
    surface, distance = _surfaces(found, truth, spacing_mm, tolerance_mm)
    return Scores(
        dice=2 * both / total if total else None,
        surface_dice=surface,
        hd95_mm=distance,
        volume_error=(found_voxels - truth_voxels) / truth_voxels if truth_voxels else None,
        accuracy=1 - (total - 2 * both) / found.size,
        truth_ml=truth_voxels * voxel_ml,
        found_ml=found_voxels * voxel_ml,
    )


def _surfaces(
    found: Inside,
    truth: Inside,
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float,
) -> tuple[float | None, float | None]:
    """Returns normalised surface Dice and HD95; None if both masks are empty.

    If only one is empty, the surface Dice is 0 (none of the other's surface matches) and HD95 None.
    """
    if not found.any() and not truth.any():
        return None, None
    if not found.any() or not truth.any():
        return 0.0, None
    box = ndimage.find_objects((found | truth).astype(np.uint8))[0]
    predicted, expected = (_one_class(np.pad(mask[box], _MARGIN)) for mask in (found, truth))
    with warnings.catch_warnings():
        # MONAI 1.6 calls its own function with an argument that it deprecates.
        warnings.filterwarnings("ignore", "monai.metrics.utils get_mask_edges", FutureWarning)
        surface = compute_surface_dice(
            predicted, expected, [tolerance_mm], include_background=True, spacing=spacing_mm
        )
        distance = compute_hausdorff_distance(
            predicted, expected, include_background=True, percentile=_PERCENTILE, spacing=spacing_mm
        )
    return float(surface[0, 0]), float(distance[0, 0])


def _one_class(mask: Inside) -> Tensor:
    """Returns (1, 1, slice, row, column), without a background class, one byte for each voxel."""
    return torch.from_numpy(mask.astype(np.uint8))[None, None]
