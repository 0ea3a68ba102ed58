"""From a body to a CT volume: sampled on a grid, made bright, blurred and noisy."""

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
from models.phantom.tissues import ORGAN_OF, Organ, Tissue, draw_levels

LIVER = Label(
    index=1,
    name="Liver",
    category=Code("91772007", "SCT", "Organ"),
    type=Code("10200004", "SCT", "Liver"),
    display_rgb=(221, 130, 101),
)

# Voxels painted at a time: bounds the working memory to about 100 MB.
_SLAB_VOXELS = 1_000_000
# The inferior vena cava ends in the heart, so far above the diaphragm's dome.
_HEART_ABOVE_DOME_MM = 20.0
# Aorta and vena cava divide at the fourth lumbar vertebra, as high as the crests of the hips.
_ILIAC_VESSELS_Z_MM = -200.0


@dataclass(frozen=True)
class Looks:
    """How a scan of a body looks. `levels` are the HU of each `Tissue`; `noise_hu` the noise's
    standard deviation, `blur_px` that of the scanner's blur within the slice, in pixels; `lesions`
    are so many spheres in the liver, off its level by `lesion_hu`.
    """

    levels: NDArray[np.float32] = field(repr=False)
    noise_hu: float = 14.0
    blur_px: float = 0.6
    lesions: int = 0
    lesion_hu: float = 0.0


@dataclass(frozen=True)
class Phantom:
    """`volume`: int16 HU; on the same grid `mask`: the liver, `tissues`: `Tissue` by voxel, and
    `organs`: `Organ` by voxel, both uint8.
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
    """A whole abdomen in axial slices from feet to head; axes slice, row, column.

    `centre_mm` (LPS) is the middle of the volume: (0, 0, 0) is the middle of the body at the
    height of the liver, (0, 0, -300) lies below every liver.
    """
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing_mm
    affine[3, 3] = 1.0
    middle = affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    affine[:3, 3] = np.asarray(centre_mm) - middle
    grid = hd.VolumeGeometry(affine, spatial_shape=shape, coordinate_system="PATIENT")
    return paint(grid, seed, arms_down=arms_down)


def paint(
    grid: hd.VolumeGeometry,
    seed: int,
    *,
    arms_down: bool | None = None,
    looks: Looks | None = None,
) -> Phantom:
    """The body of that seed, on any grid of the patient's space; the same seed, the same body.

    Without `looks`, those of a portal venous CT, drawn for the body.
    """
    rng = np.random.default_rng(seed)
    body = draw_body(rng, arms_down=arms_down)
    looks = Looks(draw_levels(rng)) if looks is None else looks
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
    hu = looks.levels[tissues]
    for lesion in _lesions(grid, liver, looks, rng):
        hu[lesion] += looks.lesion_hu
    return phantom_of(grid, scanned(hu, looks, rng), tissues, organs)


def phantom_of(
    grid: hd.VolumeGeometry,
    volume: NDArray[np.int16],
    tissues: NDArray[np.uint8],
    organs: NDArray[np.uint8],
) -> Phantom:
    """What was painted, all (slice, row, column), on its grid."""
    liver = (organs == Organ.LIVER).astype(np.uint8)
    return Phantom(
        _on(grid, volume), Mask(_on(grid, liver), (LIVER,)), _on(grid, tissues), _on(grid, organs)
    )


def _organs(tissues: NDArray[np.uint8], at: Points, dome_z: float) -> NDArray[np.uint8]:
    """The organ at each point, the diaphragm's dome at `dome_z`; both (slice, row, column)."""
    table = np.array([ORGAN_OF.get(tissue, Organ.NONE) for tissue in Tissue], dtype=np.uint8)
    organs: NDArray[np.uint8] = table[tissues]
    organs[(organs == Organ.KIDNEY_RIGHT) & (at.x > 0)] = Organ.KIDNEY_LEFT
    vena_cava = organs == Organ.INFERIOR_VENA_CAVA
    great_vessels = vena_cava | (organs == Organ.AORTA)
    # A body's vessels are columns without ends; beyond these they have other names.
    organs[vena_cava & (at.z > dome_z + _HEART_ABOVE_DOME_MM)] = Organ.NONE
    organs[great_vessels & (at.z < _ILIAC_VESSELS_Z_MM)] = Organ.NONE
    return organs


def _on(grid: hd.VolumeGeometry, array: NDArray[np.generic]) -> hd.Volume:
    """The array as a volume on that grid."""
    return hd.Volume(
        array,
        grid.affine,
        coordinate_system=grid.coordinate_system,
        frame_of_reference_uid=grid.frame_of_reference_uid,
    )


def _points(grid: hd.VolumeGeometry, start: int, stop: int) -> Points:
    """The centres of the voxels of slices `start` to `stop`, each array (slice, row, column)."""
    _, rows, columns = grid.spatial_shape
    k, j, i = np.ogrid[start:stop, 0:rows, 0:columns]
    affine = grid.affine
    axes = [
        (affine[n, 0] * k + affine[n, 1] * j + affine[n, 2] * i + affine[n, 3]).astype(np.float32)
        for n in range(3)
    ]
    return Points(*axes)


def scanned(hu: NDArray[np.float32], looks: Looks, rng: np.random.Generator) -> NDArray[np.int16]:
    """A body in HU (slice, row, column) as a scanner shows it: blurred and noisy, in 16 bits."""
    seen = ndimage.gaussian_filter(hu, (0.0, looks.blur_px, looks.blur_px), truncate=3.0)
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    # The grain of a soft reconstruction kernel.
    grainy = ndimage.gaussian_filter(white, (0.0, 0.7, 0.7), truncate=2.0)
    seen += grainy * np.float32(looks.noise_hu / grainy.std())
    volume: NDArray[np.int16] = np.rint(seen).clip(-1024, 3071).astype(np.int16)
    return volume


def _lesions(
    grid: hd.VolumeGeometry, liver: NDArray[np.uint8], looks: Looks, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """Where each lesion of the liver is, (slice, row, column)."""
    places = np.argwhere(liver)
    if looks.lesions == 0 or len(places) == 0:
        return
    spacing = np.asarray(grid.spacing)
    axes = np.ogrid[tuple(slice(0, n) for n in liver.shape)]
    for _ in range(looks.lesions):
        middle, radius_mm = places[rng.integers(len(places))], rng.uniform(4, 18)
        apart = [((axis - m) * s) ** 2 for axis, m, s in zip(axes, middle, spacing, strict=True)]
        yield (apart[0] + apart[1] + apart[2] < radius_mm**2) & (liver > 0)
