"""A chest for a body that ends in the liver: the dome of the liver, lungs and a heart on top."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.phantom.tissues import Organ, Tissue
from models.training.anatomy import Anatomy, Hu, Tissues

Where = NDArray[np.bool_]

_BELLY = (
    Tissue.LIVER,
    Tissue.LUNG,
    Tissue.STOMACH,
    Tissue.SPLEEN,
    Tissue.BOWEL,
    Tissue.PORTAL_VEIN,
)


def with_chest(body: Anatomy, rng: np.random.Generator, height_mm: float = 120.0) -> Anatomy:
    """`body`, which ends in the liver, with `height_mm` more on top.

    The belly's last slice shrinks towards two domes, the liver's on the right and that of stomach
    and spleen on the left; around them is lung, on them a heart; the chest wall repeats the last
    slices below.
    """
    inside = _within_the_ribs(body.tissues[-1])
    domes = _domes(body.tissues[-1], inside, rng)
    chest = _Chest(body, rng, inside)
    cava = body.tissues[-1] == Tissue.VENA_CAVA
    tissues, detail, organs = [], [], []
    for k in range(1, int(height_mm / body.spacing_mm) + 1):
        at_mm = k * body.spacing_mm
        tissue, fine, free = chest.wall(k)
        organ = np.where(tissue == Tissue.AORTA, np.uint8(Organ.AORTA), np.uint8(0))
        for dome in domes:
            if at_mm < dome.height_mm * 0.97:
                rows, columns = dome.shown_at(at_mm)
                here = dome.organs[rows, columns] & inside
                tissue[here] = body.tissues[-1][rows, columns][here]
                fine[here] = body.detail[-1][rows, columns][here]
                organ[here] = body.organs[-1][rows, columns][here]
                free &= ~here
        if at_mm < chest.cava_mm:
            tissue[cava], organ[cava] = Tissue.VENA_CAVA, Organ.INFERIOR_VENA_CAVA
            fine[cava] = body.detail[-1][cava]
            free &= ~cava
        chest.put_heart(tissue, fine, free, at_mm)
        tissues.append(tissue)
        detail.append(fine)
        organs.append(organ)
    return replace(
        body,
        tissues=np.concatenate([body.tissues, tissues]),
        detail=np.concatenate([body.detail, detail]),
        organs=np.concatenate([body.organs, organs]),
    )


def _within_the_ribs(last: Tissues) -> Where:
    """The part of a slice that is belly or lung."""
    belly = np.isin(last, [int(t) for t in _BELLY])
    # Padded, since closing does not reach over the edge of an array.
    closed = ndimage.binary_closing(np.pad(belly, 20), iterations=14)[20:-20, 20:-20]
    inside: Where = ndimage.binary_fill_holes(closed)
    return inside & ~np.isin(last, [Tissue.BONE, Tissue.AORTA])


@dataclass(frozen=True)
class _Dome:
    """Organs of the last slice that shrink about `centre` until they are gone at `height_mm`."""

    organs: Where
    centre: NDArray[np.float64]
    height_mm: float

    def shown_at(self, at_mm: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For each pixel of the slice `at_mm` above the last, the pixel of the last it shows."""
        share = np.sqrt(1 - (at_mm / self.height_mm) ** 2)
        rows, columns = np.indices(self.organs.shape)
        rows = np.rint(self.centre[0] + (rows - self.centre[0]) / share).astype(int)
        columns = np.rint(self.centre[1] + (columns - self.centre[1]) / share).astype(int)
        height, width = self.organs.shape
        return rows.clip(0, height - 1), columns.clip(0, width - 1)


def _domes(last: Tissues, inside: Where, rng: np.random.Generator) -> tuple[_Dome, _Dome]:
    """That of stomach and spleen, and over it that of the liver."""
    liver = last == Tissue.LIVER
    left = np.isin(last, [Tissue.STOMACH, Tissue.SPLEEN])
    other = inside & ~np.isin(last, [Tissue.LIVER, Tissue.LUNG, Tissue.VENA_CAVA, Tissue.AIR])
    right_mm, left_mm = rng.uniform(30, 60), rng.uniform(20, 50)
    return (
        _Dome(other, np.argwhere(left).mean(axis=0), left_mm),
        _Dome(liver, np.argwhere(liver).mean(axis=0), right_mm),
    )


class _Chest:
    """Wall, lungs and heart above a body that ends in the liver."""

    def __init__(self, body: Anatomy, rng: np.random.Generator, inside: Where) -> None:
        self._body, self._inside = body, inside
        rows, columns = np.argwhere(inside).mean(axis=0)
        bone = np.argwhere(body.tissues[-1] == Tissue.BONE)
        self._spine = float(np.median(bone[bone[:, 0] < rows][:, 1]))
        # In mm: (up, front, right) of the middle; a heart sits on the left half of the diaphragm.
        step = body.spacing_mm
        self._centre = (
            rng.uniform(15, 75),
            (rows + rng.uniform(4, 14)) * step,
            columns * step - rng.uniform(-10, 30),
        )
        self._half = rng.uniform(32, 55), rng.uniform(36, 54), rng.uniform(46, 70)
        # How far the fat around the heart reaches; often it lies on the liver without any.
        self._fat = max(1.0, rng.uniform(0.8, 1.2))
        self._flatness = rng.uniform(2.0, 4.0)  # 2 is an ellipsoid; more, and its ends are flat
        self._wall_mm = rng.uniform(3.0, 10.0)
        self.cava_mm = rng.uniform(20, 50)  # how far the vena cava goes on, to the heart
        self._filling = rng.choice([Tissue.FAT, Tissue.MUSCLE, Tissue.LUNG])

    def wall(self, k: int) -> tuple[Tissues, Hu, Where]:
        """Slice `k` above the end with empty lungs: tissues, detail, and where organs may go."""
        back = k % 20
        source = -1 - (back if back <= 10 else 20 - back)  # there and back again: ribs move
        tissue, fine = self._body.tissues[source].copy(), self._body.detail[source].copy()
        keep = (Tissue.AIR, Tissue.FAT, Tissue.MUSCLE, Tissue.BONE, Tissue.AORTA)
        strange = ~np.isin(tissue, [int(t) for t in keep]) | (tissue == Tissue.AIR) & self._inside
        tissue[strange], fine[strange] = Tissue.MUSCLE, 0
        lung = self._inside & ~np.isin(tissue, [Tissue.AORTA])
        tissue[lung], fine[lung] = Tissue.LUNG, 0
        across = np.abs(np.arange(tissue.shape[1]) - self._spine) * self._body.spacing_mm
        middle = lung & (across < 22)[None, :]
        tissue[middle] = self._filling
        return tissue, fine, lung

    def put_heart(self, tissue: Tissues, fine: Hu, free: Where, at_mm: float) -> None:
        """Paint the heart where the chest is free."""
        step = self._body.spacing_mm
        up, front, right = self._centre
        rows, columns = np.ogrid[0 : tissue.shape[0], 0 : tissue.shape[1]]
        exponent = self._flatness
        distance = (
            np.abs((at_mm - up) / self._half[0]) ** exponent
            + np.abs((rows * step - front) / self._half[1]) ** exponent
            + np.abs((columns * step - right) / self._half[2]) ** exponent
        ) ** (1 / exponent)
        blood = 1 - self._wall_mm / np.mean(self._half)
        parts = ((self._fat, Tissue.FAT), (1.0, Tissue.MYOCARDIUM), (blood, Tissue.HEART))
        for reach, what in parts:
            here = free & (distance < reach)
            tissue[here], fine[here] = what, 0
