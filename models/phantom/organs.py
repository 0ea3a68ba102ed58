"""The organs of one body: ellipsoids and tubes, drawn about their usual places."""

from dataclasses import dataclass

import numpy as np

from models.phantom.shapes import Column, Ellipsoid, Point, Shape, Tube
from models.phantom.tissues import Tissue

Organ = tuple[Tissue, Shape]


@dataclass(frozen=True)
class Placing:
    """Puts things into a body: `scale_x` and `scale_y` are its size against the usual one."""

    rng: np.random.Generator
    scale_x: float
    scale_y: float

    def at(self, x: float, y: float, z: float, spread_mm: float = 5.0) -> Point:
        """A place near (x, y, z) of the usual body."""
        dx, dy, dz = (float(v) for v in self.rng.uniform(-spread_mm, spread_mm, 3))
        return x * self.scale_x + dx, y * self.scale_y + dy, z + dz

    def size(self, x: float, y: float, z: float) -> Point:
        """Half axes of about this size."""
        grown = float(self.rng.uniform(0.9, 1.12))
        return x * grown * self.scale_x, y * grown * self.scale_y, z * grown

    def between(self, low: float, high: float) -> float:
        """A number of that range."""
        return float(self.rng.uniform(low, high))


def draw_organs(put: Placing, dome_z: float, spine_y: float) -> tuple[Organ, ...]:
    """Everything in belly and chest but the liver, in the order of painting.

    `dome_z` is the diaphragm's height, `spine_y` the front of the vertebrae.
    """
    aorta, cava = put.between(9, 13), put.between(8, 12)
    return (
        *_pelvis(put),
        *_bowel(put),
        *_stomach_and_spleen(put),
        *_kidneys(put),
        (Tissue.PANCREAS, Ellipsoid(put.at(22, 8, -18), put.size(58, 12, 13), 15.0)),
        (Tissue.GALLBLADDER, Ellipsoid(put.at(-42, -46, -34), put.size(15, 17, 26), 20.0)),
        (Tissue.MUSCLE, Tube(put.at(-34, 54, -40), put.at(-62, 40, -190), 21.0)),
        (Tissue.MUSCLE, Tube(put.at(34, 54, -40), put.at(62, 40, -190), 21.0)),
        (Tissue.AORTA, Column((put.between(6, 14), spine_y - 4 - aorta), (aorta, aorta))),
        (Tissue.VENA_CAVA, Column((put.between(-26, -18), spine_y - 4 - cava), (13.0, cava))),
        *_heart(put, dome_z),
    )


def draw_liver_vessels(put: Placing) -> tuple[Shape, ...]:
    """The portal vein's two branches and the three hepatic veins."""
    hilum, cava = put.at(-34, 4, 2), put.at(-24, 28, 62)
    ends = [(-104, 14, 6), (-84, -34, 0), (-4, -44, 30)]
    roots = [(-106, 10, 34), (-70, -40, 40), (-10, -46, 44)]
    branches = [Tube(hilum, put.at(*end), put.between(4, 6)) for end in ends]
    veins = [Tube(cava, put.at(*root), put.between(3, 5)) for root in roots]
    return (*branches, *veins)


def _stomach_and_spleen(put: Placing) -> tuple[Organ, ...]:
    x, y, z = put.at(58, -22, 28)
    a, b, c = put.size(40, 40, 52)
    filled = put.between(0.55, 0.85)  # the bubble of gas lies in front
    return (
        (Tissue.SPLEEN, Ellipsoid(put.at(94, 34, 22), put.size(28, 40, 50), put.between(-25, 5))),
        (Tissue.STOMACH, Ellipsoid((x, y, z), (a, b, c), put.between(0, 20))),
        (
            Tissue.STOMACH_GAS,
            Ellipsoid((x, y - b * filled * 0.7, z), (a * 0.7, b * (1 - filled) + 4, c * 0.7)),
        ),
    )


def _heart(put: Placing, dome_z: float) -> tuple[Organ, ...]:
    """Its wall, and the blood in it."""
    centre = put.at(24, -30, dome_z + 24)
    a, b = put.size(58, 44, 0)[:2]
    c = put.between(36, 50)
    blood = Ellipsoid(centre, (a - 9.0, b - 9.0, c - 9.0))
    return (Tissue.MYOCARDIUM, Ellipsoid(centre, (a, b, c))), (Tissue.HEART, blood)


def _kidneys(put: Placing) -> tuple[Organ, ...]:
    organs: list[Organ] = []
    for side, lower in ((-1, -52), (1, -40)):
        x, y, z = put.at(side * 64, 40, lower)
        a, b, c = put.size(26, 28, 54)
        organs.append((Tissue.KIDNEY, Ellipsoid((x, y, z), (a, b, c), side * 8.0)))
        sinus = Ellipsoid((x - side * a * 0.45, y, z), (a * 0.5, b * 0.4, c * 0.5))
        organs.append((Tissue.FAT, sinus))
    return tuple(organs)


def _pelvis(put: Placing) -> tuple[Organ, ...]:
    """Hip bones and bladder, below the usual field of view of an abdomen."""
    organs: list[Organ] = [(Tissue.URINE, Ellipsoid(put.at(0, -20, -330), put.size(44, 36, 34)))]
    for side in (-1, 1):
        x, y, z = put.at(side * 96, 24, -270)
        a, b, c = put.size(20, 52, 72)
        organs.append((Tissue.BONE, Ellipsoid((x, y, z), (a, b, c), side * 20.0)))
        organs.append((Tissue.MARROW, Ellipsoid((x, y, z), (a - 4, b - 4, c - 4), side * 20.0)))
    return tuple(organs)


def _bowel(put: Placing) -> tuple[Organ, ...]:
    """Colon and small bowel: loops in front and below, some with gas."""
    organs: list[Organ] = []
    rising = [(-98, -4, -120), (-96, -2, -160), (98, 6, -70), (100, 10, -130)]
    across = [(-60, -58, -84), (-20, -66, -84), (24, -64, -74), (64, -52, -56), (88, -30, -20)]
    small = [
        (x, y, z) for z in range(-110, -330, -40) for y in (-40, 0) for x in (-52, -10, 36, 70)
    ]
    for k, middle in enumerate([*rising, *across, *small]):
        wide = 24 if k < len(rising) + len(across) else 19
        x, y, z = put.at(*middle, spread_mm=12.0)
        a, b, c = put.size(wide, wide * 0.85, wide * 1.2)
        organs.append((Tissue.BOWEL, Ellipsoid((x, y, z), (a, b, c))))
        if put.rng.random() < 0.5:
            organs.append(
                (Tissue.GAS, Ellipsoid((x, y - b * 0.35, z), (a * 0.7, b * 0.5, c * 0.7)))
            )
    return tuple(organs)
