"""CT without abdominal organs: heads, and cylindrical test phantoms for scanners."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.phantom.shapes import Column, Ellipsoid, Points, Shape
from models.phantom.tissues import Tissue

Tissues = NDArray[np.uint8]

# Fillings of test cylinders: water and plastics with the HU of soft tissue.
_FILLINGS = (Tissue.LIVER, Tissue.MUSCLE, Tissue.SPLEEN, Tissue.URINE, Tissue.BRAIN)
_RODS = (Tissue.BONE, Tissue.GAS, Tissue.FAT, Tissue.KIDNEY, Tissue.AORTA)


def head_tissues(grid: hd.VolumeGeometry, rng: np.random.Generator) -> Tissues:
    """Paints a head centred on the origin, (slice, row, column)."""
    size = float(rng.uniform(0.9, 1.08))

    def ellipsoid(x: float, y: float, z: float) -> Ellipsoid:
        return Ellipsoid((0.0, 0.0, 0.0), (x * size, y * size, z * size))

    parts: list[tuple[Tissue, Shape]] = [
        (Tissue.MUSCLE, Column((0.0, 30.0), (55.0, 62.0))),
        (Tissue.SKIN, ellipsoid(80, 100, 112)),
        (Tissue.BONE, ellipsoid(75, 95, 106)),
        (Tissue.BRAIN, ellipsoid(68, 88, 98)),
    ]
    for side in (-1.0, 1.0):
        parts.append((Tissue.URINE, Ellipsoid((side * 14, 5.0, 10.0), (8.0, 32.0, 12.0))))
        parts.append((Tissue.GAS, Ellipsoid((side * 24, -70.0, -48.0), (16.0, 16.0, 18.0))))
    points = _points(grid)
    tissues = np.full(grid.spatial_shape, Tissue.AIR, dtype=np.uint8)
    for tissue, shape in parts:
        inside = shape.contains(points)
        if isinstance(shape, Column):
            inside &= points.z < -30
        tissues[inside] = tissue
    return tissues


def cylinder_tissues(grid: hd.VolumeGeometry, rng: np.random.Generator) -> Tissues:
    """Paints a test cylinder along the table, with rods in it, (slice, row, column)."""
    radius = float(rng.uniform(70, 170))
    points = _points(grid)
    tissues = np.full(grid.spatial_shape, Tissue.AIR, dtype=np.uint8)
    shell = Column((0.0, 0.0), (radius, radius * float(rng.uniform(0.7, 1.0))))
    tissues[shell.contains(points)] = Tissue.TABLE
    tissues[shell.shrunk(6.0).contains(points)] = rng.choice(_FILLINGS)
    for angle in np.arange(rng.integers(0, 8)) * np.pi / 4:
        rod = Column((radius * 0.6 * np.cos(angle), radius * 0.6 * np.sin(angle)), (9.0, 9.0))
        tissues[rod.contains(points)] = rng.choice(_RODS)
    return tissues


def _points(grid: hd.VolumeGeometry) -> Points:
    """Returns the centres of all voxels, each array (slice, row, column)."""
    indices = np.indices(grid.spatial_shape).reshape(3, -1).T
    at = grid.map_indices_to_reference(indices).astype(np.float32).T
    return Points(*(axis.reshape(grid.spatial_shape) for axis in at))
