"""An analytic body phantom whose liver is known at every point, for tests of geometry.

The body is a function of the position in the patient (LPS, mm). It can be sampled on any grid, and
the ground truth with it, without resampling and without an assumption about orientation.
"""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

AIR_HU = -1000
TISSUE_HU = 20
LIVER_HU = 120
# Between tissue and liver: `ThresholdSegmenter` finds the liver exactly by this threshold.
THRESHOLD_HU = 70

# Centre and half-axes in LPS, mm. The liver is on the patient's right (negative x); no symmetry.
_BODY = ((0.0, 0.0, 0.0), (60.0, 42.0, 75.0))
_LIVER = ((-22.0, -8.0, 14.0), (24.0, 18.0, 30.0))

# Direction cosines of rows (column index grows), columns (row index grows) and the slice stack.
Directions = tuple[Sequence[float], Sequence[float], Sequence[float]]
AXIAL: Directions = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
# The stack runs from head to feet, and the rows and columns are reversed.
FEET_FIRST: Directions = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
CORONAL: Directions = ((1, 0, 0), (0, 0, -1), (0, 1, 0))
SAGITTAL: Directions = ((0, 1, 0), (0, 0, -1), (1, 0, 0))


def oblique(about_x: float = 20.0, about_y: float = -12.0, about_z: float = 9.0) -> Directions:
    """Returns axial directions rotated about the three axes, in degrees."""
    rotation = np.eye(3)
    for axis, degrees in enumerate((about_x, about_y, about_z)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        about_axis = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        about_axis[i, i], about_axis[i, j], about_axis[j, i], about_axis[j, j] = c, -s, s, c
        rotation = about_axis @ rotation
    row, column, normal = (tuple(float(v) for v in rotation[:, k]) for k in range(3))
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
    """Returns a grid centred on `centre` (LPS, mm); spacing between slices, rows, columns."""
    row, column, normal = (np.array(d, dtype=float) for d in directions)
    affine = np.eye(4)
    affine[:3, :3] = np.stack(
        [normal * spacing_mm[0], column * spacing_mm[1], row * spacing_mm[2]], axis=1
    )
    middle = (np.array([slices, rows, columns]) - 1) / 2
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ middle
    return hd.VolumeGeometry(affine, (slices, rows, columns), coordinate_system="PATIENT")


def in_liver(positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns whether each position (..., 3) in LPS, mm, lies in the liver."""
    return _inside(_LIVER, positions)


def _inside(
    ellipsoid: tuple[tuple[float, float, float], tuple[float, float, float]],
    positions: NDArray[np.float64],
) -> NDArray[np.bool_]:
    centre, half_axes = ellipsoid
    inside: NDArray[np.bool_] = (((positions - centre) / half_axes) ** 2).sum(axis=-1) <= 1
    return inside


def voxel_positions(geometry: hd.VolumeGeometry | hd.Volume) -> NDArray[np.float64]:
    """Returns the position of each voxel, (slice, row, column, 3), LPS, mm."""
    index = np.stack(
        np.meshgrid(*(np.arange(n) for n in geometry.spatial_shape), indexing="ij"), axis=-1
    )
    affine = geometry.affine
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def body(geometry: hd.VolumeGeometry) -> hd.Volume:
    """Samples the body on a grid, in HU (int16)."""
    positions = voxel_positions(geometry)
    hu = np.full(geometry.spatial_shape, AIR_HU, dtype=np.int16)
    hu[_inside(_BODY, positions)] = TISSUE_HU
    hu[in_liver(positions)] = LIVER_HU
    return geometry.with_array(hu)
