"""The anatomy of one body, drawn at random within the range of adults."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.phantom.organs import OrganPlacement, draw_liver_vessels, draw_organs
from models.phantom.shapes import (
    Column,
    Displacement,
    Ellipsoid,
    Point,
    PointMask,
    Points,
    Shape,
    may_intersect,
)
from models.phantom.tissues import Tissue

Tissues = NDArray[np.uint8]

_HEART = (Tissue.MYOCARDIUM, Tissue.HEART)
_SKIN_MM = 2.5
# Ribs: their distance, their thickness and their slope toward the front.
_RIB_PITCH_MM, _RIB_HEIGHT_MM, _RIB_SLOPE = 34.0, 12.0, 0.45
_VERTEBRA_MM = (23.0, 18.0)
_DISC_PITCH_MM, _DISC_HEIGHT_MM = 36.0, 8.0
# Half axes of the space within the ribs of the reference body, whose organ positions are given.
_REFERENCE_INNER_MM = (132.0, 82.0)


@dataclass(frozen=True)
class Body:
    """An adult's trunk in LPS mm; the centre of the liver is at z = 0."""

    displacement: Displacement
    skin: Column
    fat_mm: float
    wall_mm: float
    dome_right: Point  # the diaphragm's highest points
    dome_left: Point
    dome_slope: float  # 1/mm: drop of the diaphragm per squared distance from the dome
    organs: tuple[tuple[Tissue, Shape], ...]  # abdomen and chest, in the order of painting
    liver: tuple[Shape, ...]
    liver_cut: tuple[Shape, ...]  # impressions of the neighbouring organs
    liver_floor: tuple[float, float, float]  # lower edge: z at x = y = 0, dz/dx, dz/dy
    vessels: tuple[Shape, ...]  # in the liver
    spine_y: float  # centre of the vertebrae
    table_y: float
    arms: tuple[Column, ...]

    def tissues(self, points: Points) -> Tissues:
        """Returns the tissue at each point."""
        at = self.displacement.displaced(points)
        box = at.bounding_box()
        tissue = np.full(at.x.shape, Tissue.AIR, dtype=np.uint8)
        self._paint_table(tissue, points)
        self._paint_arms(tissue, at, box)
        inside = self._paint_wall(tissue, at)
        below = at.z < self._diaphragm(at)
        tissue[inside & ~below] = Tissue.LUNG
        tissue[inside & below] = Tissue.FAT
        for organ, shape in self.organs:
            if organ not in _HEART and may_intersect(shape, box):
                tissue[shape.contains(at) & inside & below] = organ
        self._paint_chest(tissue, at, inside & ~below)
        self._paint_liver(tissue, at, inside & below, box)
        self._paint_spine(tissue, at)
        return tissue

    def _diaphragm(self, at: Points) -> NDArray[np.float32]:
        """Returns the height z of the diaphragm at each point."""
        heights = []
        for x, y, z in (self.dome_right, self.dome_left):
            distance = (at.x - np.float32(x)) ** 2 + (at.y - np.float32(y)) ** 2
            heights.append(np.float32(z) - np.float32(self.dome_slope) * distance)
        highest: NDArray[np.float32] = np.maximum(*heights)
        return highest

    def _paint_wall(self, tissue: Tissues, at: Points) -> PointMask:
        """Paints skin, fat, muscle and ribs; returns the points inside of them."""
        muscle = self.skin.shrunk(self.fat_mm)
        inner = muscle.shrunk(self.wall_mm)
        tissue[self.skin.contains(at)] = Tissue.SKIN
        tissue[self.skin.shrunk(_SKIN_MM).contains(at)] = Tissue.FAT
        in_muscle, inside = muscle.contains(at), inner.contains(at)
        tissue[in_muscle] = Tissue.MUSCLE
        for side in (-1, 1):
            back = Column((side * 36.0, muscle.half_axes[1] - 26.0), (32.0, 24.0))
            in_back = back.contains(at)
            tissue[in_back] = Tissue.MUSCLE
            inside &= ~in_back
        # The ribs end at the costal arch, which rises toward the front.
        arch = at.z > np.float32(-70) - np.float32(0.9) * at.y
        height = np.mod(at.z - np.float32(_RIB_SLOPE) * at.y, np.float32(_RIB_PITCH_MM))
        cage = in_muscle & ~inside & inner.shrunk(-7.0).contains(at) & arch
        tissue[cage & (height < _RIB_HEIGHT_MM)] = Tissue.BONE
        core = (height > 3) & (height < _RIB_HEIGHT_MM - 3)
        tissue[cage & core & ~inner.shrunk(-2.0).contains(at)] = Tissue.MARROW
        return inside

    def _paint_chest(self, tissue: Tissues, at: Points, chest: PointMask) -> None:
        """Paints the heart and the mediastinum at the points in `chest`."""
        mediastinum = (np.abs(at.x - np.float32(4)) < 26) & chest
        tissue[mediastinum] = Tissue.FAT
        box = at.bounding_box()
        for organ, shape in self.organs:
            if organ in (*_HEART, Tissue.AORTA, Tissue.VENA_CAVA) and may_intersect(shape, box):
                tissue[shape.contains(at) & chest] = organ

    def _paint_liver(
        self, tissue: Tissues, at: Points, abdomen: PointMask, box: tuple[Point, Point]
    ) -> None:
        lobes = [shape for shape in self.liver if may_intersect(shape, box)]
        if not lobes:
            return
        liver = np.logical_or.reduce([shape.contains(at) for shape in lobes]) & abdomen
        z0, dx, dy = (np.float32(v) for v in self.liver_floor)
        liver &= at.z > z0 + dx * at.x + dy * at.y
        for shape in self.liver_cut:
            if may_intersect(shape, box):
                liver &= ~shape.contains(at)
        keep = (Tissue.VENA_CAVA, Tissue.GALLBLADDER, Tissue.KIDNEY, Tissue.AORTA)
        liver &= ~np.isin(tissue, [int(t) for t in keep])
        tissue[liver] = Tissue.LIVER
        for shape in self.vessels:
            if may_intersect(shape, box):
                tissue[shape.contains(at) & liver] = Tissue.PORTAL_VEIN

    def _paint_spine(self, tissue: Tissues, at: Points) -> None:
        y = self.spine_y
        vertebra = Column((0.0, y), _VERTEBRA_MM)
        tissue[vertebra.shrunk(-3.0).contains(at)] = Tissue.FAT
        whole = vertebra.contains(at)
        tissue[whole] = Tissue.BONE
        tissue[vertebra.shrunk(2.5).contains(at)] = Tissue.MARROW
        disc = np.mod(at.z, np.float32(_DISC_PITCH_MM)) < _DISC_HEIGHT_MM
        tissue[whole & disc] = Tissue.DISC
        for side in (-1, 0, 1):
            process = Column((side * 22.0, y + 24.0), (16.0, 5.0) if side else (4.0, 26.0))
            tissue[process.contains(at) & ~disc] = Tissue.BONE
        canal = Column((0.0, y + 25.0), (9.0, 7.0))
        tissue[canal.contains(at)] = Tissue.FAT
        tissue[canal.shrunk(2.5).contains(at)] = Tissue.DISC

    def _paint_table(self, tissue: Tissues, at: Points) -> None:
        depth = at.y - np.float32(self.table_y) + (at.x * np.float32(1 / 28)) ** 2
        top = (depth > 0) & (depth < 4) & (np.abs(at.x) < 210)
        tissue[top] = Tissue.TABLE

    def _paint_arms(self, tissue: Tissues, at: Points, box: tuple[Point, Point]) -> None:
        for arm in self.arms:
            if may_intersect(arm, box):
                tissue[arm.contains(at)] = Tissue.FAT
                tissue[arm.shrunk(6.0).contains(at)] = Tissue.MUSCLE
                bone = Column(arm.centre_xy, (13.0, 12.0))
                tissue[bone.contains(at)] = Tissue.BONE
                tissue[bone.shrunk(4.0).contains(at)] = Tissue.MARROW


def draw_body(rng: np.random.Generator, *, arms_down: bool | None = None) -> Body:
    """Draws an adult; with `arms_down` None one in four has the arms at the sides."""
    half_x, half_y = float(rng.uniform(150, 182)), float(rng.uniform(106, 128))
    fat_mm, wall_mm = float(rng.uniform(8, 26)), float(rng.uniform(11, 16))
    skin = Column((0.0, 0.0), (half_x, half_y), float(rng.uniform(2.1, 2.6)))
    inner_x, inner_y = skin.shrunk(fat_mm + wall_mm).half_axes
    placement = OrganPlacement(
        rng, inner_x / _REFERENCE_INNER_MM[0], inner_y / _REFERENCE_INNER_MM[1]
    )
    dome_z = placement.uniform(72, 92)
    spine_y = half_y - fat_mm - 52.0
    chance = rng.random()  # always drawn, so that the same seed gives the same body
    down = bool(chance < 0.25) if arms_down is None else arms_down
    arm_x = half_x + placement.uniform(38, 46)
    arms = [Column((side * arm_x, placement.uniform(0, 40)), (36.0, 34.0)) for side in (-1, 1)]
    return Body(
        displacement=Displacement.draw(rng, amplitude_mm=placement.uniform(3, 7)),
        skin=skin,
        fat_mm=fat_mm,
        wall_mm=wall_mm,
        dome_right=placement.position(-60, -4, dome_z),
        dome_left=placement.position(66, 0, dome_z - placement.uniform(4, 22)),
        dome_slope=placement.uniform(0.009, 0.016),
        organs=draw_organs(placement, dome_z, spine_y - _VERTEBRA_MM[1]),
        liver=(
            Ellipsoid(
                placement.position(-62, -2, 10),
                placement.half_axes(76, 84, 88),
                placement.uniform(-12, 12),
            ),
            Ellipsoid(
                placement.position(-4, -42, 30),
                placement.half_axes(78, 42, 42),
                placement.uniform(-20, 10),
            ),
        ),
        liver_cut=(
            Ellipsoid(placement.position(26, 66, -10), placement.half_axes(52, 56, 120)),
            Ellipsoid(placement.position(-58, 58, -66), placement.half_axes(42, 44, 62)),
            Ellipsoid(placement.position(62, 8, 40), placement.half_axes(48, 46, 70)),
        ),
        liver_floor=(placement.uniform(-34, 2), placement.uniform(0.3, 0.65), -0.15),
        vessels=draw_liver_vessels(placement),
        spine_y=spine_y,
        table_y=half_y + placement.uniform(3, 12),
        arms=tuple(arms) if down else (),
    )
