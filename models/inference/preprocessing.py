"""Resamples a CT volume to the network's input, and its output back onto the grid of the CT.

The network always receives the body in one orientation, whatever the orientation of the slices:
axes from foot to head, back to front, left to right. Both directions use the affines alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.inference.aligned_labels import aligned_classes, axis_maps
from models.inference.block_average import block_averages
from models.manifest import ModelSpec
from models.mask import Mask
from models.monai_parts import AffineTransform

Affine = NDArray[np.float64]

# Directions of the network's axes in LPS: foot to head, back to front, left to right.
_NETWORK_AXES = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
# Source voxels that `restore` resamples at a time: limits the working memory to about 300 MB
# (per voxel three float32 coordinates, twice, and for each label a float32 and an index).
_SLAB_VOXELS = 8_000_000


@dataclass(frozen=True)
class Prepared:
    """The network's input, and what `restore` needs to map its output back.

    `tensor` is (1, 1, Z, Y, X), 0 at the lower end of the HU window and 1 at the upper; `affine`
    maps its indices to LPS mm; `source` is the grid of the CT.
    """

    tensor: Tensor = field(repr=False)
    affine: Affine
    source: hd.VolumeGeometry


def prepare(volume: hd.Volume, spec: ModelSpec, device: str | torch.device = "cpu") -> Prepared:
    """Resamples `volume` (HU) to the package's spacing, clips the HU window, normalises to 0..1.

    Outside the volume the value is the lower end of the window, as air.
    """
    low, high = spec.hu_window
    affine, shape = network_grid(volume.get_geometry(), spec.spacing_mm)
    blocks = blocks_of(volume.affine, spec.spacing_mm)
    averages = torch.from_numpy(block_averages(volume.array, blocks, (low, high)))
    level = averages.to(device)[None, None]
    source_affine = block_affine(volume.affine, blocks)
    tensor = _resample(level, np.linalg.inv(source_affine) @ affine, shape, padding="zeros")
    return Prepared(tensor, affine, volume.get_geometry())


def network_grid(
    source: hd.VolumeGeometry, spacing_mm: tuple[float, float, float]
) -> tuple[Affine, tuple[int, int, int]]:
    """Returns the affine and shape (Z, Y, X) of the grid along the patient's axes over `source`."""
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
    """Resamples the network's `scores` (C, Z, Y, X) to a mask on the grid of the CT.

    Each source voxel gets the class with the highest score, interpolated at its centre.
    """
    source = prepared.source
    to_network = np.linalg.inv(prepared.affine) @ source.affine
    margins = scores[1:] - scores[:1]  # (labels, Z, Y, X): each label's score over the background's
    maps = axis_maps(to_network, source.spatial_shape)
    if maps is not None and margins.device.type == "cpu":
        classes = aligned_classes(margins.numpy(), maps, source.spatial_shape)
    else:
        classes = oblique_classes(margins, to_network, source.spatial_shape)
    volume = hd.Volume(
        classes,
        source.affine,
        coordinate_system=source.coordinate_system,
        frame_of_reference_uid=source.frame_of_reference_uid,
    )
    return Mask(volume, spec.labels)


def oblique_classes(
    margins: Tensor, to_network: Affine, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Returns the class of each source voxel, for any affine; see `aligned_classes`."""
    classes = np.zeros(shape, dtype=np.uint8)
    first, last = _label_box(margins, to_network, shape)
    rows, columns = last[1] - first[1], last[2] - first[2]
    shift = np.eye(4)
    for start, stop in _slabs(first[0], last[0], rows * columns):
        shift[:3, 3] = start, first[1], first[2]
        size = (stop - start, rows, columns)
        slab = _resample(margins[None], to_network @ shift, size, padding="border")[0]
        best, label = slab.max(dim=0)
        found = torch.where(best > 0, label + 1, 0).to(torch.uint8).cpu().numpy()
        classes[start:stop, first[1] : last[1], first[2] : last[2]] = found
    return classes


def _label_box(
    margins: Tensor, to_network: Affine, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the box of source voxels (first, last + 1) in which a label can beat the background.

    Scores are interpolated between network voxels: a label beats the background only within one
    voxel of a network voxel at which it does.
    """
    winning = (margins > 0).any(dim=0).nonzero().cpu().numpy()
    if len(winning) == 0:
        return np.zeros(3, dtype=np.intp), np.zeros(3, dtype=np.intp)
    ends = np.stack([winning.min(axis=0) - 1, winning.max(axis=0) + 1])
    corners = np.stack(np.meshgrid(*ends.T, [1], indexing="ij"), axis=-1).reshape(-1, 4)
    indices = (corners @ np.linalg.inv(to_network).T)[:, :3]
    first = np.floor(indices.min(axis=0)).astype(np.intp).clip(0, shape)
    last = np.ceil(indices.max(axis=0)).astype(np.intp).clip(-1, np.array(shape) - 1) + 1
    return first, np.maximum(first, last)


def _slabs(first: int, last: int, voxels_per_slice: int) -> Iterator[tuple[int, int]]:
    """Splits the slices `first` to `last` into ranges that fit the working memory."""
    step = max(1, _SLAB_VOXELS // max(1, voxels_per_slice))
    for start in range(first, last, step):
        yield start, min(start + step, last)


def blocks_of(affine: Affine, spacing_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """Returns how many voxels along each axis are averaged, so that noise does not alias."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    along, down, right = (max(1, int(min(spacing_mm) / s)) for s in spacing)
    return along, down, right


def block_affine(affine: Affine, blocks: tuple[int, int, int]) -> Affine:
    """Returns the affine of the grid of the blocks."""
    to_voxels = np.diag([*map(float, blocks), 1.0])
    to_voxels[:3, 3] = [(block - 1) / 2 for block in blocks]
    return affine @ to_voxels


def _resample(
    image: Tensor, to_image: Affine, shape: tuple[int, int, int], *, padding: str
) -> Tensor:
    """Interpolates `image` (1, C, ...) linearly at `to_image @ index` for each index of `shape`."""
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
