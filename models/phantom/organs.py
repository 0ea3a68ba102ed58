"""The organs of one body: ellipsoids and tubes with random variation of position and size."""

from dataclasses import dataclass

import numpy as np

from models.phantom.shapes import Column, Ellipsoid, Point, Shape, Tube
from models.phantom.tissues import Tissue

PaintedShape = tuple[Tissue, Shape]


@dataclass(frozen=True)
class OrganPlacement:
    """Draws positions and sizes; `scale_x` and `scale_y` are relative to the reference body."""

    rng: np.random.Generator
    scale_x: float
    scale_y: float

    def position(self, x: float, y: float, z: float, spread_mm: float = 5.0) -> Point:
        """Draws a position near (x, y, z) of the reference body."""
        dx, dy, dz = (float(v) for v in self.rng.uniform(-spread_mm, spread_mm, 3))
        return x * self.scale_x + dx, y * self.scale_y + dy, z + dz

    def half_axes(self, x: float, y: float, z: float) -> Point:
        """Draws half axes of about this size."""
        factor = float(self.rng.uniform(0.9, 1.12))
        return x * factor * self.scale_x, y * factor * self.scale_y, z * factor

    def uniform(self, low: float, high: float) -> float:
        """Draws a number from the range."""
        return float(self.rng.uniform(low, high))


def draw_organs(
    placement: OrganPlacement, dome_z: float, spine_y: float
) -> tuple[PaintedShape, ...]:
    """Draws the shapes of abdomen and chest except the liver, in the order of painting.

    `dome_z` is the diaphragm's height, `spine_y` the front of the vertebrae.
    """
    aorta, cava = placement.uniform(9, 13), placement.uniform(8, 12)
    return (
        *_pelvis(placement),
        *_bowel(placement),
        *_stomach_and_spleen(placement),
        *_kidneys(placement),
        (
            Tissue.PANCREAS,
            Ellipsoid(placement.position(22, 8, -18), placement.half_axes(58, 12, 13), 15.0),
        ),
        (
            Tissue.GALLBLADDER,
            Ellipsoid(placement.position(-42, -46, -34), placement.half_axes(15, 17, 26), 20.0),
        ),
        (
            Tissue.MUSCLE,
            Tube(placement.position(-34, 54, -40), placement.position(-62, 40, -190), 21.0),
        ),
        (
            Tissue.MUSCLE,
            Tube(placement.position(34, 54, -40), placement.position(62, 40, -190), 21.0),
        ),
        (Tissue.AORTA, Column((placement.uniform(6, 14), spine_y - 4 - aorta), (aorta, aorta))),
        (Tissue.VENA_CAVA, Column((placement.uniform(-26, -18), spine_y - 4 - cava), (13.0, cava))),
        *_heart(placement, dome_z),
    )


def draw_liver_vessels(placement: OrganPlacement) -> tuple[Shape, ...]:
    """Draws three branches of the portal vein and the three hepatic veins."""
    hilum, cava = placement.position(-34, 4, 2), placement.position(-24, 28, 62)
    ends = [(-104, 14, 6), (-84, -34, 0), (-4, -44, 30)]
    roots = [(-106, 10, 34), (-70, -40, 40), (-10, -46, 44)]
    branches = [Tube(hilum, placement.position(*end), placement.uniform(4, 6)) for end in ends]
    veins = [Tube(cava, placement.position(*root), placement.uniform(3, 5)) for root in roots]
    return (*branches, *veins)


def _stomach_and_spleen(placement: OrganPlacement) -> tuple[PaintedShape, ...]:
    x, y, z = placement.position(58, -22, 28)
    a, b, c = placement.half_axes(40, 40, 52)
    filled = placement.uniform(0.55, 0.85)  # the gas bubble lies in front
    return (
        (
            Tissue.SPLEEN,
            Ellipsoid(
                placement.position(94, 34, 22),
                placement.half_axes(28, 40, 50),
                placement.uniform(-25, 5),
            ),
        ),
        (Tissue.STOMACH, Ellipsoid((x, y, z), (a, b, c), placement.uniform(0, 20))),
        (
            Tissue.STOMACH_GAS,
            Ellipsoid((x, y - b * filled * 0.7, z), (a * 0.7, b * (1 - filled) + 4, c * 0.7)),
        ),
    )


def _heart(placement: OrganPlacement, dome_z: float) -> tuple[PaintedShape, ...]:
    """Draws the wall of the heart and the blood in it."""
    centre = placement.position(24, -30, dome_z + 24)
    a, b = placement.half_axes(58, 44, 0)[:2]
    c = placement.uniform(36, 50)
    blood = Ellipsoid(centre, (a - 9.0, b - 9.0, c - 9.0))
    return (Tissue.MYOCARDIUM, Ellipsoid(centre, (a, b, c))), (Tissue.HEART, blood)


def _kidneys(placement: OrganPlacement) -> tuple[PaintedShape, ...]:
    organs: list[PaintedShape] = []
    for side, lower in ((-1, -52), (1, -40)):
        x, y, z = placement.position(side * 64, 40, lower)
        a, b, c = placement.half_axes(26, 28, 54)
        organs.append((Tissue.KIDNEY, Ellipsoid((x, y, z), (a, b, c), side * 8.0)))
        sinus = Ellipsoid((x - side * a * 0.45, y, z), (a * 0.5, b * 0.4, c * 0.5))
        organs.append((Tissue.FAT, sinus))
    return tuple(organs)


def _pelvis(placement: OrganPlacement) -> tuple[PaintedShape, ...]:
    """Draws hip bones and bladder, below the usual field of view of an abdomen."""
    organs: list[PaintedShape] = [
        (Tissue.URINE, Ellipsoid(placement.position(0, -20, -330), placement.half_axes(44, 36, 34)))
    ]
    for side in (-1, 1):
        x, y, z = placement.position(side * 96, 24, -270)
        a, b, c = placement.half_axes(20, 52, 72)
        organs.append((Tissue.BONE, Ellipsoid((x, y, z), (a, b, c), side * 20.0)))
        organs.append((Tissue.MARROW, Ellipsoid((x, y, z), (a - 4, b - 4, c - 4), side * 20.0)))
    return tuple(organs)


def _bowel(placement: OrganPlacement) -> tuple[PaintedShape, ...]:
    """Draws colon and small bowel: loops in front and below, some with gas."""
    organs: list[PaintedShape] = []
    ascending = [(-98, -4, -120), (-96, -2, -160), (98, 6, -70), (100, 10, -130)]
    transverse = [(-60, -58, -84), (-20, -66, -84), (24, -64, -74), (64, -52, -56), (88, -30, -20)]
    small = [
        (x, y, z) for z in range(-110, -330, -40) for y in (-40, 0) for x in (-52, -10, 36, 70)
    ]
    for k, centre in enumerate([*ascending, *transverse, *small]):
        radius = 24 if k < len(ascending) + len(transverse) else 19
        x, y, z = placement.position(*centre, spread_mm=12.0)
        a, b, c = placement.half_axes(radius, radius * 0.85, radius * 1.2)
        organs.append((Tissue.BOWEL, Ellipsoid((x, y, z), (a, b, c))))
        if placement.rng.random() < 0.5:
            organs.append(
                (Tissue.GAS, Ellipsoid((x, y - b * 0.35, z), (a * 0.7, b * 0.5, c * 0.7)))
            )
    return tuple(organs)
