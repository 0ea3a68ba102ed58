"""Extends a body that ends in the liver by a chest: dome of the liver, lungs and heart."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.phantom.tissues import Organ, Tissue
from models.training.anatomy import Anatomy, Hu, Tissues

BoolMask = NDArray[np.bool_]

_ABDOMEN = (
    Tissue.LIVER,
    Tissue.LUNG,
    Tissue.STOMACH,
    Tissue.SPLEEN,
    Tissue.BOWEL,
    Tissue.PORTAL_VEIN,
)


def with_chest(body: Anatomy, rng: np.random.Generator, height_mm: float = 120.0) -> Anatomy:
    """Returns `body`, which ends in the liver, with a chest of `height_mm` on top.

    The organs of the last slice shrink towards two domes: liver on the right, stomach and spleen
    on the left. Lung surrounds the domes and a heart lies on them. The chest wall repeats the last
    slices below.
    """
    inside = _within_the_ribs(body.tissues[-1])
    domes = _domes(body.tissues[-1], inside, rng)
    chest = _Chest(body, rng, inside)
    cava = body.tissues[-1] == Tissue.VENA_CAVA
    tissues, texture_hu, organs = [], [], []
    for k in range(1, int(height_mm / body.spacing_mm) + 1):
        at_mm = k * body.spacing_mm
        tissue, texture, free = chest.wall(k)
        organ = np.where(tissue == Tissue.AORTA, np.uint8(Organ.AORTA), np.uint8(0))
        for dome in domes:
            if at_mm < dome.height_mm * 0.97:
                rows, columns = dome.source_pixels(at_mm)
                here = dome.organs[rows, columns] & inside
                tissue[here] = body.tissues[-1][rows, columns][here]
                texture[here] = body.texture_hu[-1][rows, columns][here]
                organ[here] = body.organs[-1][rows, columns][here]
                free &= ~here
        if at_mm < chest.cava_mm:
            tissue[cava], organ[cava] = Tissue.VENA_CAVA, Organ.INFERIOR_VENA_CAVA
            texture[cava] = body.texture_hu[-1][cava]
            free &= ~cava
        chest.paint_heart(tissue, texture, free, at_mm)
        tissues.append(tissue)
        texture_hu.append(texture)
        organs.append(organ)
    return replace(
        body,
        tissues=np.concatenate([body.tissues, tissues]),
        texture_hu=np.concatenate([body.texture_hu, texture_hu]),
        organs=np.concatenate([body.organs, organs]),
    )


def _within_the_ribs(last: Tissues) -> BoolMask:
    """Returns the part of a slice (Y, X) that is abdomen or lung."""
    abdomen = np.isin(last, [int(t) for t in _ABDOMEN])
    # Padding is needed, since closing does not extend over the edge of an array.
    closed = ndimage.binary_closing(np.pad(abdomen, 20), iterations=14)[20:-20, 20:-20]
    inside: BoolMask = ndimage.binary_fill_holes(closed)
    return inside & ~np.isin(last, [Tissue.BONE, Tissue.AORTA])


@dataclass(frozen=True)
class _Dome:
    """Organs of the last slice that shrink about `centre` and vanish at `height_mm`."""

    organs: BoolMask
    centre: NDArray[np.float64]
    height_mm: float

    def source_pixels(self, at_mm: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Returns for each pixel of the slice `at_mm` above the last its pixel in the last."""
        scale = np.sqrt(1 - (at_mm / self.height_mm) ** 2)
        rows, columns = np.indices(self.organs.shape)
        rows = np.rint(self.centre[0] + (rows - self.centre[0]) / scale).astype(int)
        columns = np.rint(self.centre[1] + (columns - self.centre[1]) / scale).astype(int)
        height, width = self.organs.shape
        return rows.clip(0, height - 1), columns.clip(0, width - 1)


def _domes(last: Tissues, inside: BoolMask, rng: np.random.Generator) -> tuple[_Dome, _Dome]:
    """Returns the dome of stomach and spleen, then that of the liver, which is painted over it."""
    liver = last == Tissue.LIVER
    left = np.isin(last, [Tissue.STOMACH, Tissue.SPLEEN])
    other = inside & ~np.isin(last, [Tissue.LIVER, Tissue.LUNG, Tissue.VENA_CAVA, Tissue.AIR])
    right_mm, left_mm = rng.uniform(30, 60), rng.uniform(20, 50)
    return (
        _Dome(other, np.argwhere(left).mean(axis=0), left_mm),
        _Dome(liver, np.argwhere(liver).mean(axis=0), right_mm),
    )


class _Chest:
    """Chest wall, lungs and heart above a body that ends in the liver."""

    def __init__(self, body: Anatomy, rng: np.random.Generator, inside: BoolMask) -> None:
        self._body, self._inside = body, inside
        rows, columns = np.argwhere(inside).mean(axis=0)
        bone = np.argwhere(body.tissues[-1] == Tissue.BONE)
        self._spine = float(np.median(bone[bone[:, 0] < rows][:, 1]))
        # Centre in mm (up, front, right): a heart lies on the left half of the diaphragm.
        step = body.spacing_mm
        self._centre = (
            rng.uniform(15, 75),
            (rows + rng.uniform(4, 14)) * step,
            columns * step - rng.uniform(-10, 30),
        )
        self._half_axes_mm = rng.uniform(32, 55), rng.uniform(36, 54), rng.uniform(46, 70)
        # Relative extent of the fat around the heart; often there is none above the liver.
        self._fat = max(1.0, rng.uniform(0.8, 1.2))
        self._flatness = rng.uniform(
            2.0, 4.0
        )  # 2 is an ellipsoid; a larger exponent flattens its ends
        self._wall_mm = rng.uniform(3.0, 10.0)
        self.cava_mm = rng.uniform(20, 50)  # the vena cava ends in the heart
        self._mediastinum = rng.choice([Tissue.FAT, Tissue.MUSCLE, Tissue.LUNG])

    def wall(self, k: int) -> tuple[Tissues, Hu, BoolMask]:
        """Returns slice `k` above the end: tissues, texture, and where organs may be painted.

        The lungs of the slice are empty.
        """
        back = k % 20
        source = -1 - (
            back if back <= 10 else 20 - back
        )  # alternates up and down, so that the ribs move
        tissue, texture = self._body.tissues[source].copy(), self._body.texture_hu[source].copy()
        keep = (Tissue.AIR, Tissue.FAT, Tissue.MUSCLE, Tissue.BONE, Tissue.AORTA)
        not_wall = ~np.isin(tissue, [int(t) for t in keep]) | (tissue == Tissue.AIR) & self._inside
        tissue[not_wall], texture[not_wall] = Tissue.MUSCLE, 0
        lung = self._inside & ~np.isin(tissue, [Tissue.AORTA])
        tissue[lung], texture[lung] = Tissue.LUNG, 0
        from_spine_mm = np.abs(np.arange(tissue.shape[1]) - self._spine) * self._body.spacing_mm
        mediastinum = lung & (from_spine_mm < 22)[None, :]
        tissue[mediastinum] = self._mediastinum
        return tissue, texture, lung

    def paint_heart(self, tissue: Tissues, texture: Hu, free: BoolMask, at_mm: float) -> None:
        """Paints the heart where the chest is `free`, in place."""
        step = self._body.spacing_mm
        up, front, right = self._centre
        rows, columns = np.ogrid[0 : tissue.shape[0], 0 : tissue.shape[1]]
        exponent = self._flatness
        distance = (
            np.abs((at_mm - up) / self._half_axes_mm[0]) ** exponent
            + np.abs((rows * step - front) / self._half_axes_mm[1]) ** exponent
            + np.abs((columns * step - right) / self._half_axes_mm[2]) ** exponent
        ) ** (1 / exponent)
        blood = 1 - self._wall_mm / np.mean(self._half_axes_mm)
        parts = ((self._fat, Tissue.FAT), (1.0, Tissue.MYOCARDIUM), (blood, Tissue.HEART))
        for extent, part in parts:
            here = free & (distance < extent)
            tissue[here], texture[here] = part, 0
