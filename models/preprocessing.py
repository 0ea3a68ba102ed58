"""From a CT volume to the network's input, and from its output back onto the CT's own grid.

The network always sees the body in one orientation, whatever way the slices were cut: axes from
foot to head, back to front, left to right. Both ways go through the affines alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import highdicom as hd
import numpy as np
import torch
from monai.networks.layers import AffineTransform
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.manifest import ModelSpec
from models.mask import Mask

Affine = NDArray[np.float64]

# Directions of the network's axes in LPS: foot to head, back to front, left to right.
_NETWORK_AXES = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
# Source voxels resampled at a time on the way back: bounds the working memory to about 300 MB
# (per voxel three float32 coordinates, twice, and for each label a float32 and an index).
_SLAB_VOXELS = 8_000_000


@dataclass(frozen=True)
class Prepared:
    """The network's input and the way back.

    `tensor` is (1, 1, Z, Y, X), 0 at the lower end of the HU window and 1 at the upper; `affine`
    takes its indices to LPS mm; `source` is the grid it came from.
    """

    tensor: Tensor = field(repr=False)
    affine: Affine
    source: hd.VolumeGeometry


def prepare(volume: hd.Volume, spec: ModelSpec, device: str | torch.device = "cpu") -> Prepared:
    """Resample `volume` (HU) to the package's spacing, clip its HU window, normalise to 0..1.

    What lies outside of the volume is the window's lower end, as air.
    """
    low, high = spec.hu_window
    affine, shape = network_grid(volume.get_geometry(), spec.spacing_mm)
    # Flipped views, which torch cannot take over, are copied.
    array = np.ascontiguousarray(volume.array)
    hu = torch.as_tensor(array, dtype=torch.float32, device=device)[None, None]
    # Clipped first: metal and padding must not bleed into their neighbours' average.
    level = hu.clamp(low, high).sub_(low).div_(high - low)
    level, source_affine = _averaged(level, volume.affine, spec.spacing_mm)
    tensor = _resample(level, np.linalg.inv(source_affine) @ affine, shape, padding="zeros")
    return Prepared(tensor, affine, volume.get_geometry())


def network_grid(
    source: hd.VolumeGeometry, spacing_mm: tuple[float, float, float]
) -> tuple[Affine, tuple[int, int, int]]:
    """The grid along the patient's axes that covers `source`: its affine and shape (Z, Y, X)."""
    # The outer corners of the corner voxels.
    ends = [(-0.5, length - 0.5) for length in source.spatial_shape]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    along = source.map_indices_to_reference(corners) @ _NETWORK_AXES.T  # (8, 3), mm
    first, last = along.min(axis=0), along.max(axis=0)
    spacing = np.asarray(spacing_mm)
    shape = np.maximum(np.ceil((last - first) / spacing - 1e-6), 1).astype(int)
    start = (first + last) / 2 - (shape - 1) / 2 * spacing
    affine = np.eye(4)
    affine[:3, :3] = _NETWORK_AXES.T * spacing
    affine[:3, 3] = _NETWORK_AXES.T @ start
    depth, height, width = (int(n) for n in shape)
    return affine, (depth, height, width)


def restore(scores: Tensor, prepared: Prepared, spec: ModelSpec) -> Mask:
    """The mask on the source's grid, of the network's `scores` (C, Z, Y, X) on its own.

    Each source voxel gets the class with the highest score, interpolated at its centre.
    """
    source = prepared.source
    to_network = np.linalg.inv(prepared.affine) @ source.affine
    over = scores[1:] - scores[:1]  # (labels, Z, Y, X): by how much each beats the background
    classes = np.zeros(source.spatial_shape, dtype=np.uint8)
    first, last = _reach(over, to_network, source.spatial_shape)
    rows, columns = last[1] - first[1], last[2] - first[2]
    shift = np.eye(4)
    for start, stop in _slabs(first[0], last[0], rows * columns):
        shift[:3, 3] = start, first[1], first[2]
        shape = (stop - start, rows, columns)
        slab = _resample(over[None], to_network @ shift, shape, padding="border")[0]
        best, label = slab.max(dim=0)
        found = torch.where(best > 0, label + 1, 0).to(torch.uint8).cpu().numpy()
        classes[start:stop, first[1] : last[1], first[2] : last[2]] = found
    volume = hd.Volume(
        classes,
        source.affine,
        coordinate_system=source.coordinate_system,
        frame_of_reference_uid=source.frame_of_reference_uid,
    )
    return Mask(volume, spec.labels)


def _reach(
    over: Tensor, to_network: Affine, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The box of source voxels, first and past the last, in which a label can beat the background.

    Between network voxels scores are interpolated, so that a label beats the background only
    within one voxel of a place where it does.
    """
    places = (over > 0).any(dim=0).nonzero().cpu().numpy()
    if len(places) == 0:
        return np.zeros(3, dtype=np.intp), np.zeros(3, dtype=np.intp)
    ends = np.stack([places.min(axis=0) - 1, places.max(axis=0) + 1])
    corners = np.stack(np.meshgrid(*ends.T, [1], indexing="ij"), axis=-1).reshape(-1, 4)
    indices = (corners @ np.linalg.inv(to_network).T)[:, :3]
    first = np.floor(indices.min(axis=0)).astype(np.intp).clip(0, shape)
    last = np.ceil(indices.max(axis=0)).astype(np.intp).clip(-1, np.array(shape) - 1) + 1
    return first, np.maximum(first, last)


def _slabs(first: int, last: int, voxels_per_slice: int) -> Iterator[tuple[int, int]]:
    """Ranges of slices that together are `first` to `last`."""
    step = max(1, _SLAB_VOXELS // max(1, voxels_per_slice))
    for start in range(first, last, step):
        yield start, min(start + step, last)


def _averaged(
    level: Tensor, affine: Affine, spacing_mm: tuple[float, float, float]
) -> tuple[Tensor, Affine]:
    """Mean over blocks of voxels up to the target spacing, so that noise does not alias."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    blocks = [max(1, int(min(spacing_mm) / s)) for s in spacing]
    if blocks == [1, 1, 1]:
        return level, affine
    # Whole blocks only: the last ones are filled up with their edge.
    missing = [-length % block for length, block in zip(level.shape[2:], blocks, strict=True)]
    padded = functional.pad(level, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
    block_affine = np.diag([*map(float, blocks), 1.0])
    block_affine[:3, 3] = [(block - 1) / 2 for block in blocks]
    return functional.avg_pool3d(padded, blocks), affine @ block_affine


def _resample(
    image: Tensor, to_image: Affine, shape: tuple[int, int, int], *, padding: str
) -> Tensor:
    """`image` (1, C, ...) at the indices `to_image @ index` for each index of `shape`, linearly."""
    transform = AffineTransform(
        spatial_size=shape,
        normalized=False,
        mode="bilinear",
        padding_mode=padding,
        align_corners=False,
        reverse_indexing=True,
    )
    theta = torch.as_tensor(to_image, dtype=torch.float32, device=image.device)
    resampled: Tensor = transform(image, theta)
    return resampled
