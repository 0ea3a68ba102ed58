"""One body: where its organs are, drawn at random within the range of adults."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.phantom.shapes import (
    Column,
    Ellipsoid,
    Inside,
    Point,
    Points,
    Shape,
    Tube,
    Wobble,
    may_touch,
)
from models.phantom.tissues import Tissue

Tissues = NDArray[np.uint8]

_SKIN_MM = 2.5
# Ribs: their distance from one another, how thick they are, how far they fall toward the front.
_RIB_PITCH_MM, _RIB_HEIGHT_MM, _RIB_FALL = 34.0, 12.0, 0.45
_DISC_PITCH_MM, _DISC_HEIGHT_MM = 36.0, 8.0


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
    table_y: float
    arms: tuple[Shape, ...]

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
            if kind != Tissue.HEART and may_touch(shape, box):
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
            if kind in (Tissue.HEART, Tissue.AORTA, Tissue.VENA_CAVA) and may_touch(shape, box):
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
        y = self.skin.half_axes[1] - self.fat_mm - 52.0
        vertebra = Column((0.0, y), (23.0, 18.0))
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
            if isinstance(arm, Column) and may_touch(arm, box):
                tissue[arm.inside(at)] = Tissue.FAT
                tissue[arm.shrunk(6.0).inside(at)] = Tissue.MUSCLE
                bone = Column(arm.centre_xy, (13.0, 12.0))
                tissue[bone.inside(at)] = Tissue.BONE
                tissue[bone.shrunk(4.0).inside(at)] = Tissue.MARROW


def draw_body(rng: np.random.Generator, *, arms_down: bool | None = None) -> Body:
    """A random adult; `arms_down` None: one in four lies with the arms at the sides."""
    j = _Jitter(rng)
    half_x, half_y = float(rng.uniform(150, 182)), float(rng.uniform(106, 128))
    fat_mm, wall_mm = float(rng.uniform(8, 26)), float(rng.uniform(11, 16))
    skin = Column((0.0, 0.0), (half_x, half_y), float(rng.uniform(2.1, 2.6)))
    inner = skin.shrunk(fat_mm + wall_mm).half_axes
    scale_x, scale_y = inner[0] / 132.0, inner[1] / 82.0

    def place(x: float, y: float, z: float, spread: float = 5.0) -> Point:
        moved = j.point(spread)
        return x * scale_x + moved[0], y * scale_y + moved[1], z + moved[2]

    def size(x: float, y: float, z: float) -> Point:
        grown = float(rng.uniform(0.9, 1.12))
        return x * grown * scale_x, y * grown * scale_y, z * grown

    dome_z = float(rng.uniform(72, 92))
    down = bool(rng.random() < 0.25) if arms_down is None else arms_down
    arm_x = half_x + float(rng.uniform(38, 46))
    return Body(
        wobble=Wobble.draw(rng, amplitude_mm=float(rng.uniform(3, 7))),
        skin=skin,
        fat_mm=fat_mm,
        wall_mm=wall_mm,
        dome_right=place(-60, -4, dome_z),
        dome_left=place(66, 0, dome_z - float(rng.uniform(4, 22))),
        dome_slope=float(rng.uniform(0.009, 0.016)),
        organs=_organs(rng, place, size, dome_z),
        liver=(
            Ellipsoid(place(-62, -2, 10), size(76, 84, 88), float(rng.uniform(-12, 12))),
            Ellipsoid(place(-4, -42, 30), size(78, 42, 42), float(rng.uniform(-20, 10))),
        ),
        liver_cut=(
            Ellipsoid(place(26, 66, -10), size(52, 56, 120)),
            Ellipsoid(place(-58, 58, -66), size(42, 44, 62)),
            Ellipsoid(place(62, 8, 40), size(48, 46, 70)),
        ),
        liver_floor=(float(rng.uniform(-34, 2)), float(rng.uniform(0.3, 0.65)), -0.15),
        vessels=_liver_vessels(rng, place),
        table_y=half_y + float(rng.uniform(3, 12)),
        arms=tuple(
            Column((side * arm_x, float(rng.uniform(0, 40))), (36.0, 34.0)) for side in (-1, 1)
        )
        if down
        else (),
    )


class _Jitter:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def point(self, spread_mm: float) -> Point:
        x, y, z = (float(v) for v in self._rng.uniform(-spread_mm, spread_mm, 3))
        return x, y, z
