"""The geometry of a series: its slices sorted along their normal, or the reason for a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.frames import Slice
from node.dicom.ct.gantry_tilt import in_plane_offsets
from node.dicom.ct.slice_spacing import grid_spacing
from node.dicom.ct.source_grid import SourceGrid
from node.dicom.ct.suitability import check_acquisitions
from node.domain.errors import Rejected, RejectionReason

# Slices closer than this are at the same position: thinner slices do not exist in body CT.
SAME_POSITION_MM = 0.01
# Positions this close to an even grid, as a fraction of the spacing, are even. This is the effect
# of rounding positions to three decimals at common slice distances.
EVEN_GRID_TOLERANCE = 0.01
# A direction cosine's length may be off by this much through rounding to three decimals.
_UNIT_TOLERANCE = 5e-3
# Fewer slices span no volume.
_MIN_SLICES = 2
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """Slices in ascending order along the normal (row direction × column direction).

    `affine` is the 4×4 matrix from (slice, row, column) index of `grid` to LPS mm.
    """

    slices: tuple[Slice, ...]
    distances_mm: tuple[float, ...]  # of each slice from the first, along the normal
    grid: SourceGrid
    affine: Floats


def stack_slices(slices: Sequence[Slice]) -> Stack:
    """Sorts slices of equal size and orientation by position.

    Raises:
        Rejected: too few slices, duplicate or missing positions, irregular spacing, or slices that
            are shifted in the plane otherwise than by a gantry tilt.
    """
    if len(slices) < _MIN_SLICES:
        raise Rejected(
            RejectionReason.TOO_FEW_SLICES,
            f"The series has {len(slices)} slice; a volume needs at least {_MIN_SLICES}. "
            "Send the whole series.",
        )
    directions = _directions(slices[0])
    row, column, normal = directions
    positions = np.array([s.position for s in slices])  # (N, 3)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = tuple(slices[k] for k in order)
    distances = along[order] - along[order[0]]
    check_acquisitions(ordered, distances.tolist(), SAME_POSITION_MM)
    sideways = positions[order] - positions[order[0]] - np.outer(distances, normal)  # (N, 3), mm
    offsets = in_plane_offsets(ordered, sideways @ column, sideways @ row, distances)
    spacing_mm, count = grid_spacing(ordered, distances)
    grid = _grid(ordered[0].size, distances / spacing_mm, count, offsets)
    affine = _affine(ordered[0], directions, spacing_mm, grid.offsets[0])
    return Stack(ordered, tuple(distances.tolist()), grid, affine)


def _grid(
    image_size: tuple[int, int],
    slice_indices: Floats,
    slice_count: int,
    offsets: NDArray[np.intp],
) -> SourceGrid:
    """Returns the grid of `slice_count` slices that holds all images at their `offsets` (N, 2)."""
    offsets = offsets - offsets.min(axis=0)
    rows, columns = np.array(image_size) + offsets.max(axis=0)
    is_even = len(slice_indices) == slice_count and bool(
        np.abs(slice_indices - np.arange(slice_count)).max() <= EVEN_GRID_TOLERANCE
    )
    return SourceGrid(
        shape=(slice_count, int(rows), int(columns)),
        image_size=image_size,
        slice_indices=tuple(slice_indices.tolist()),
        offsets=tuple((int(down), int(right)) for down, right in offsets),
        has_source_slices=is_even,
    )


def _affine(
    first: Slice,
    directions: tuple[Floats, Floats, Floats],
    spacing_mm: float,
    first_offset: tuple[int, int],
) -> Floats:
    """Returns the 4×4 matrix from (slice, row, column) index to LPS mm.

    The first pixel of the first slice is the voxel at `first_offset` (row, column) of slice 0.
    """
    row, column, normal = directions
    between_rows, between_columns = first.pixel_spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = normal * spacing_mm
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = row * between_columns
    affine[:3, 3] = first.position - affine[:3, 1:3] @ np.array(first_offset)
    return affine


def _directions(slice_: Slice) -> tuple[Floats, Floats, Floats]:
    """Returns the row, column and normal directions, exactly orthonormal."""
    row, column = np.array(slice_.orientation[:3]), np.array(slice_.orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(row @ column) > _UNIT_TOLERANCE:
        raise Rejected(
            RejectionReason.MISSING_GEOMETRY,
            f"{slice_.name.capitalize()} has an invalid orientation (ImageOrientationPatient "
            "does not hold two perpendicular directions). Send the original series from the "
            "scanner.",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return row, column, np.cross(row, column)
