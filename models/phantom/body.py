"""One body: where its organs are, drawn at random within the range of adults."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.phantom.organs import Placing, draw_liver_vessels, draw_organs
from models.phantom.shapes import (
    Column,
    Ellipsoid,
    Inside,
    Point,
    Points,
    Shape,
    Wobble,
    may_touch,
)
from models.phantom.tissues import Tissue

Tissues = NDArray[np.uint8]

_HEART = (Tissue.MYOCARDIUM, Tissue.HEART)
_SKIN_MM = 2.5
# Ribs: their distance from one another, how thick they are, how far they fall toward the front.
_RIB_PITCH_MM, _RIB_HEIGHT_MM, _RIB_FALL = 34.0, 12.0, 0.45
_VERTEBRA_MM = (23.0, 18.0)
_DISC_PITCH_MM, _DISC_HEIGHT_MM = 36.0, 8.0
# Half axes of the space within the ribs, for which the organs' places are written down.
_USUAL_INNER_MM = (132.0, 82.0)


@dataclass(frozen=True)
class Body:
    """An adult's trunk, in LPS mm; the liver's middle is at z = 0."""

    wobble: Wobble
    skin: Column
    fat_mm: float
    wall_mm: float
    dome_right: Point  # the diaphragm's highest points
    dome_left: Point
    dome_slope: float  # 1/mm: the diaphragm falls by this times the squared distance
    organs: tuple[tuple[Tissue, Shape], ...]  # in the order of painting, in the belly or chest
    liver: tuple[Shape, ...]
    liver_cut: tuple[Shape, ...]  # what the neighbours press into it
    liver_floor: tuple[float, float, float]  # its lower edge: z at x = 0, dz/dx, dz/dy
    vessels: tuple[Shape, ...]  # in the liver
    spine_y: float  # the middle of the vertebrae
    table_y: float
    arms: tuple[Column, ...]

    def tissues(self, true_points: Points) -> Tissues:
        """The tissue at each point."""
        at = self.wobble.moved(true_points)
        box = at.box()
        tissue = np.full(at.x.shape, Tissue.AIR, dtype=np.uint8)
        self._paint_table(tissue, true_points)
        self._paint_arms(tissue, at, box)
        inside = self._paint_wall(tissue, at)
        below = at.z < self._diaphragm(at)
        tissue[inside & ~below] = Tissue.LUNG
        tissue[inside & below] = Tissue.FAT
        for kind, shape in self.organs:
            if kind not in _HEART and may_touch(shape, box):
                tissue[shape.inside(at) & inside & below] = kind
        self._paint_chest(tissue, at, inside & ~below)
        self._paint_liver(tissue, at, inside & below, box)
        self._paint_spine(tissue, at)
        return tissue

    def _diaphragm(self, at: Points) -> NDArray[np.float32]:
        """Its height over each point."""
        heights = []
        for x, y, z in (self.dome_right, self.dome_left):
            distance = (at.x - np.float32(x)) ** 2 + (at.y - np.float32(y)) ** 2
            heights.append(np.float32(z) - np.float32(self.dome_slope) * distance)
        highest: NDArray[np.float32] = np.maximum(*heights)
        return highest

    def _paint_wall(self, tissue: Tissues, at: Points) -> Inside:
        """Skin, fat, muscle and ribs; returns what lies inside of them."""
        muscle = self.skin.shrunk(self.fat_mm)
        inner = muscle.shrunk(self.wall_mm)
        tissue[self.skin.inside(at)] = Tissue.SKIN
        tissue[self.skin.shrunk(_SKIN_MM).inside(at)] = Tissue.FAT
        in_muscle, inside = muscle.inside(at), inner.inside(at)
        tissue[in_muscle] = Tissue.MUSCLE
        for side in (-1, 1):
            back = Column((side * 36.0, muscle.half_axes[1] - 26.0), (32.0, 24.0))
            around = back.inside(at)
            tissue[around] = Tissue.MUSCLE
            inside &= ~around
        # The ribs end at the costal arch, which rises toward the front.
        arch = at.z > np.float32(-70) - np.float32(0.9) * at.y
        height = np.mod(at.z - np.float32(_RIB_FALL) * at.y, np.float32(_RIB_PITCH_MM))
        cage = in_muscle & ~inside & inner.shrunk(-7.0).inside(at) & arch
        tissue[cage & (height < _RIB_HEIGHT_MM)] = Tissue.BONE
        core = (height > 3) & (height < _RIB_HEIGHT_MM - 3)
        tissue[cage & core & ~inner.shrunk(-2.0).inside(at)] = Tissue.MARROW
        return inside

    def _paint_chest(self, tissue: Tissues, at: Points, chest: Inside) -> None:
        """Heart and middle of the chest, where `chest` is."""
        middle = (np.abs(at.x - np.float32(4)) < 26) & chest
        tissue[middle] = Tissue.FAT
        box = at.box()
        for kind, shape in self.organs:
            if kind in (*_HEART, Tissue.AORTA, Tissue.VENA_CAVA) and may_touch(shape, box):
                tissue[shape.inside(at) & chest] = kind

    def _paint_liver(
        self, tissue: Tissues, at: Points, belly: Inside, box: tuple[Point, Point]
    ) -> None:
        lobes = [shape for shape in self.liver if may_touch(shape, box)]
        if not lobes:
            return
        where = np.logical_or.reduce([shape.inside(at) for shape in lobes]) & belly
        z0, dx, dy = (np.float32(v) for v in self.liver_floor)
        where &= at.z > z0 + dx * at.x + dy * at.y
        for shape in self.liver_cut:
            if may_touch(shape, box):
                where &= ~shape.inside(at)
        keep = (Tissue.VENA_CAVA, Tissue.GALLBLADDER, Tissue.KIDNEY, Tissue.AORTA)
        where &= ~np.isin(tissue, [int(t) for t in keep])
        tissue[where] = Tissue.LIVER
        for shape in self.vessels:
            if may_touch(shape, box):
                tissue[shape.inside(at) & where] = Tissue.PORTAL_VEIN

    def _paint_spine(self, tissue: Tissues, at: Points) -> None:
        y = self.spine_y
        vertebra = Column((0.0, y), _VERTEBRA_MM)
        tissue[vertebra.shrunk(-3.0).inside(at)] = Tissue.FAT
        whole = vertebra.inside(at)
        tissue[whole] = Tissue.BONE
        tissue[vertebra.shrunk(2.5).inside(at)] = Tissue.MARROW
        disc = np.mod(at.z, np.float32(_DISC_PITCH_MM)) < _DISC_HEIGHT_MM
        tissue[whole & disc] = Tissue.DISC
        for side in (-1, 0, 1):
            process = Column((side * 22.0, y + 24.0), (16.0, 5.0) if side else (4.0, 26.0))
            tissue[process.inside(at) & ~disc] = Tissue.BONE
        canal = Column((0.0, y + 25.0), (9.0, 7.0))
        tissue[canal.inside(at)] = Tissue.FAT
        tissue[canal.shrunk(2.5).inside(at)] = Tissue.DISC

    def _paint_table(self, tissue: Tissues, at: Points) -> None:
        depth = at.y - np.float32(self.table_y) + (at.x * np.float32(1 / 28)) ** 2
        top = (depth > 0) & (depth < 4) & (np.abs(at.x) < 210)
        tissue[top] = Tissue.TABLE

    def _paint_arms(self, tissue: Tissues, at: Points, box: tuple[Point, Point]) -> None:
        for arm in self.arms:
            if may_touch(arm, box):
                tissue[arm.inside(at)] = Tissue.FAT
                tissue[arm.shrunk(6.0).inside(at)] = Tissue.MUSCLE
                bone = Column(arm.centre_xy, (13.0, 12.0))
                tissue[bone.inside(at)] = Tissue.BONE
                tissue[bone.shrunk(4.0).inside(at)] = Tissue.MARROW


def draw_body(rng: np.random.Generator, *, arms_down: bool | None = None) -> Body:
    """A random adult; `arms_down` None: one in four lies with the arms at the sides."""
    half_x, half_y = float(rng.uniform(150, 182)), float(rng.uniform(106, 128))
    fat_mm, wall_mm = float(rng.uniform(8, 26)), float(rng.uniform(11, 16))
    skin = Column((0.0, 0.0), (half_x, half_y), float(rng.uniform(2.1, 2.6)))
    inner_x, inner_y = skin.shrunk(fat_mm + wall_mm).half_axes
    put = Placing(rng, inner_x / _USUAL_INNER_MM[0], inner_y / _USUAL_INNER_MM[1])
    dome_z = put.between(72, 92)
    spine_y = half_y - fat_mm - 52.0
    lot = rng.random()  # drawn in any case: the same seed gives the same body
    down = bool(lot < 0.25) if arms_down is None else arms_down
    arm_x = half_x + put.between(38, 46)
    arms = [Column((side * arm_x, put.between(0, 40)), (36.0, 34.0)) for side in (-1, 1)]
    return Body(
        wobble=Wobble.draw(rng, amplitude_mm=put.between(3, 7)),
        skin=skin,
        fat_mm=fat_mm,
        wall_mm=wall_mm,
        dome_right=put.at(-60, -4, dome_z),
        dome_left=put.at(66, 0, dome_z - put.between(4, 22)),
        dome_slope=put.between(0.009, 0.016),
        organs=draw_organs(put, dome_z, spine_y - _VERTEBRA_MM[1]),
        liver=(
            Ellipsoid(put.at(-62, -2, 10), put.size(76, 84, 88), put.between(-12, 12)),
            Ellipsoid(put.at(-4, -42, 30), put.size(78, 42, 42), put.between(-20, 10)),
        ),
        liver_cut=(
            Ellipsoid(put.at(26, 66, -10), put.size(52, 56, 120)),
            Ellipsoid(put.at(-58, 58, -66), put.size(42, 44, 62)),
            Ellipsoid(put.at(62, 8, 40), put.size(48, 46, 70)),
        ),
        liver_floor=(put.between(-34, 2), put.between(0.3, 0.65), -0.15),
        vessels=draw_liver_vessels(put),
        spine_y=spine_y,
        table_y=half_y + put.between(3, 12),
        arms=tuple(arms) if down else (),
    )
