"""Renders a body as a CT volume: samples it on a grid, assigns HU, adds blur and noise."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.manifest import Code, Label
from models.mask import Mask
from models.phantom.body import draw_body
from models.phantom.shapes import Points
from models.phantom.tissues import ORGAN_OF_TISSUE, Organ, Tissue, draw_tissue_hu

LIVER = Label(
    index=1,
    name="Liver",
    category=Code("91772007", "SCT", "Organ"),
    type=Code("10200004", "SCT", "Liver"),
    display_rgb=(221, 130, 101),
)

# Voxels painted at a time. This limits the working memory to about 100 MB.
_SLAB_VOXELS = 1_000_000
# The inferior vena cava ends in the heart, this far above the dome of the diaphragm.
_HEART_ABOVE_DOME_MM = 20.0
# Aorta and vena cava divide at the fourth lumbar vertebra, at the height of the iliac crests.
_ILIAC_VESSELS_Z_MM = -200.0


@dataclass(frozen=True)
class Appearance:
    """Contrast, noise, blur and lesions of a scan.

    `tissue_hu` holds the HU of each `Tissue`. `noise_hu` is the standard deviation of the noise and
    `blur_px` that of the scanner's in-plane blur, in pixels. `lesions` is the number of spheres in
    the liver, which differ from it by `lesion_hu`.
    """

    tissue_hu: NDArray[np.float32] = field(repr=False)
    noise_hu: float = 14.0
    blur_px: float = 0.6
    lesions: int = 0
    lesion_hu: float = 0.0


@dataclass(frozen=True)
class Phantom:
    """A rendered phantom; all volumes share one grid, axes slice, row, column.

    `volume` is int16 HU, `mask` the liver; `tissues` holds `Tissue` and `organs` `Organ` by voxel,
    both uint8.
    """

    volume: hd.Volume = field(repr=False)
    mask: Mask = field(repr=False)
    tissues: hd.Volume = field(repr=False)
    organs: hd.Volume = field(repr=False)


def abdomen(
    seed: int,
    *,
    spacing_mm: tuple[float, float, float] = (3.0, 1.5, 1.5),
    shape: tuple[int, int, int] = (100, 256, 256),
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    arms_down: bool = False,
) -> Phantom:
    """Renders an abdomen in axial slices from feet to head; axes slice, row, column.

    `centre_mm` (LPS) is the centre of the volume: (0, 0, 0) is the centre of the body at the
    height of the liver, (0, 0, -300) lies below every liver.
    """
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing_mm
    affine[3, 3] = 1.0
    centre = affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    affine[:3, 3] = np.asarray(centre_mm) - centre
    grid = hd.VolumeGeometry(affine, spatial_shape=shape, coordinate_system="PATIENT")
    return paint(grid, seed, arms_down=arms_down)


def paint(
    grid: hd.VolumeGeometry,
    seed: int,
    *,
    arms_down: bool | None = None,
    appearance: Appearance | None = None,
) -> Phantom:
    """Renders the body of a seed on any grid in patient space; the same seed gives the same body.

    Without `appearance`, one of a portal venous CT is drawn.
    """
    rng = np.random.default_rng(seed)
    body = draw_body(rng, arms_down=arms_down)
    appearance = Appearance(draw_tissue_hu(rng)) if appearance is None else appearance
    slices, rows, columns = grid.spatial_shape
    tissues = np.empty((slices, rows, columns), dtype=np.uint8)
    organs = np.empty_like(tissues)
    step = max(1, _SLAB_VOXELS // (rows * columns))
    for start in range(0, slices, step):
        stop = min(start + step, slices)
        points = _points(grid, start, stop)
        tissues[start:stop] = body.tissues(points)
        organs[start:stop] = _organs(tissues[start:stop], points, body.dome_right[2])
    liver = (organs == Organ.LIVER).astype(np.uint8)
    hu = appearance.tissue_hu[tissues]
    for lesion in _lesions(grid, liver, appearance, rng):
        hu[lesion] += appearance.lesion_hu
    return build_phantom(grid, simulate_scan(hu, appearance, rng), tissues, organs)


def build_phantom(
    grid: hd.VolumeGeometry,
    volume: NDArray[np.int16],
    tissues: NDArray[np.uint8],
    organs: NDArray[np.uint8],
) -> Phantom:
    """Builds a phantom from arrays (slice, row, column) on a grid."""
    liver = (organs == Organ.LIVER).astype(np.uint8)
    return Phantom(
        _on(grid, volume), Mask(_on(grid, liver), (LIVER,)), _on(grid, tissues), _on(grid, organs)
    )


def _organs(tissues: NDArray[np.uint8], at: Points, dome_z: float) -> NDArray[np.uint8]:
    """Returns the organ at each point, (slice, row, column); `dome_z` is the diaphragm's dome."""
    table = np.array([ORGAN_OF_TISSUE.get(tissue, Organ.NONE) for tissue in Tissue], dtype=np.uint8)
    organs: NDArray[np.uint8] = table[tissues]
    organs[(organs == Organ.KIDNEY_RIGHT) & (at.x > 0)] = Organ.KIDNEY_LEFT
    vena_cava = organs == Organ.INFERIOR_VENA_CAVA
    great_vessels = vena_cava | (organs == Organ.AORTA)
    # Vessels are painted as endless columns; beyond these limits they have other names.
    organs[vena_cava & (at.z > dome_z + _HEART_ABOVE_DOME_MM)] = Organ.NONE
    organs[great_vessels & (at.z < _ILIAC_VESSELS_Z_MM)] = Organ.NONE
    return organs


def _on(grid: hd.VolumeGeometry, array: NDArray[np.generic]) -> hd.Volume:
    """Returns the array as a volume on the grid."""
    return hd.Volume(
        array,
        grid.affine,
        coordinate_system=grid.coordinate_system,
        frame_of_reference_uid=grid.frame_of_reference_uid,
    )


def _points(grid: hd.VolumeGeometry, start: int, stop: int) -> Points:
    """Returns voxel centres of slices `start` to `stop`, each array (slice, row, column)."""
    _, rows, columns = grid.spatial_shape
    k, j, i = np.ogrid[start:stop, 0:rows, 0:columns]
    affine = grid.affine
    axes = [
        (affine[n, 0] * k + affine[n, 1] * j + affine[n, 2] * i + affine[n, 3]).astype(np.float32)
        for n in range(3)
    ]
    return Points(*axes)


def simulate_scan(
    hu: NDArray[np.float32], appearance: Appearance, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Adds blur and noise to HU (slice, row, column), and rounds them to 16 bits."""
    blurred = ndimage.gaussian_filter(
        hu, (0.0, appearance.blur_px, appearance.blur_px), truncate=3.0
    )
    white_noise = rng.standard_normal(hu.shape, dtype=np.float32)
    # The noise texture of a soft reconstruction kernel.
    noise = ndimage.gaussian_filter(white_noise, (0.0, 0.7, 0.7), truncate=2.0)
    blurred += noise * np.float32(appearance.noise_hu / noise.std())
    volume: NDArray[np.int16] = np.rint(blurred).clip(-1024, 3071).astype(np.int16)
    return volume


def _lesions(
    grid: hd.VolumeGeometry,
    liver: NDArray[np.uint8],
    appearance: Appearance,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.bool_]]:
    """Yields the mask of each lesion of the liver, (slice, row, column)."""
    liver_voxels = np.argwhere(liver)
    if appearance.lesions == 0 or len(liver_voxels) == 0:
        return
    spacing = np.asarray(grid.spacing)
    axes = np.ogrid[tuple(slice(0, n) for n in liver.shape)]
    for _ in range(appearance.lesions):
        centre, radius_mm = liver_voxels[rng.integers(len(liver_voxels))], rng.uniform(4, 18)
        squared_mm = [
            ((axis - m) * s) ** 2 for axis, m, s in zip(axes, centre, spacing, strict=True)
        ]
        yield (squared_mm[0] + squared_mm[1] + squared_mm[2] < radius_mm**2) & (liver > 0)
