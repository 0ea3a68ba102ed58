"""A body whose liver is known at every point of space, for tests about geometry.

It is given as a function of the place in the patient (LPS, mm), so that it can be sampled on any
grid, and the truth with it: no resampling, no orientation to guess.
"""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

AIR_HU = -1000
TISSUE_HU = 20
LIVER_HU = 120
# Between tissue and liver: the rule by which `ThresholdSegmenter` finds the liver exactly.
THRESHOLD_HU = 70

# Centre and half-axes in LPS, mm: the liver on the patient's right (negative x), no symmetry.
_BODY = ((0.0, 0.0, 0.0), (60.0, 42.0, 75.0))
_LIVER = ((-22.0, -8.0, 14.0), (24.0, 18.0, 30.0))

# Direction cosines of rows (column index grows), columns (row index grows) and of the stack.
Directions = tuple[Sequence[float], Sequence[float], Sequence[float]]
AXIAL: Directions = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
# The stack runs from head to feet, and the patient lies with the other side up.
FEET_FIRST: Directions = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
CORONAL: Directions = ((1, 0, 0), (0, 0, -1), (0, 1, 0))
SAGITTAL: Directions = ((0, 1, 0), (0, 0, -1), (1, 0, 0))


def oblique(about_x: float = 20.0, about_y: float = -12.0, about_z: float = 9.0) -> Directions:
    """Axial directions, turned about the three axes by degrees."""
    turn = np.eye(3)
    for axis, degrees in enumerate((about_x, about_y, about_z)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        one = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        one[i, i], one[i, j], one[j, i], one[j, j] = c, -s, s, c
        turn = one @ turn
    row, column, normal = (tuple(float(v) for v in turn[:, k]) for k in range(3))
    return row, column, normal


def grid(
    directions: Directions = AXIAL,
    *,
    slices: int = 24,
    rows: int = 40,
    columns: int = 48,
    spacing_mm: tuple[float, float, float] = (6.0, 3.0, 3.0),
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> hd.VolumeGeometry:
    """A grid with `centre` (LPS, mm) in its middle; spacing between slices, rows, columns."""
    row, column, normal = (np.array(d, dtype=float) for d in directions)
    affine = np.eye(4)
    affine[:3, :3] = np.stack(
        [normal * spacing_mm[0], column * spacing_mm[1], row * spacing_mm[2]], axis=1
    )
    middle = (np.array([slices, rows, columns]) - 1) / 2
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ middle
    return hd.VolumeGeometry(affine, (slices, rows, columns), coordinate_system="PATIENT")


def in_liver(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether places (..., 3) in LPS, mm, lie in the liver."""
    return _inside(_LIVER, places)


def _inside(
    ellipsoid: tuple[tuple[float, float, float], tuple[float, float, float]],
    places: NDArray[np.float64],
) -> NDArray[np.bool_]:
    centre, half_axes = ellipsoid
    inside: NDArray[np.bool_] = (((places - centre) / half_axes) ** 2).sum(axis=-1) <= 1
    return inside


def places(geometry: hd.VolumeGeometry | hd.Volume) -> NDArray[np.float64]:
    """The place of each voxel, (slice, row, column, 3), LPS, mm."""
    index = np.stack(
        np.meshgrid(*(np.arange(n) for n in geometry.spatial_shape), indexing="ij"), axis=-1
    )
    affine = geometry.affine
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def body(geometry: hd.VolumeGeometry) -> hd.Volume:
    """The body in HU (int16) on a grid."""
    where = places(geometry)
    hu = np.full(geometry.spatial_shape, AIR_HU, dtype=np.int16)
    hu[_inside(_BODY, where)] = TISSUE_HU
    hu[in_liver(where)] = LIVER_HU
    return geometry.with_array(hu)
