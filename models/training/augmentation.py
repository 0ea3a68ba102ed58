"""A new scan of a deformed body for every sample: shape, contrast phase, scanner, field of view.

The images are painted from tissues rather than changed in brightness (Billot et al. 2023, SynthSeg)
so that the network learns where an organ lies among its neighbours, not how bright it is. Never
mirrored: the liver is on the right.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.phantom.tissues import ANY_PHASE_HU, PHASES_HU, Organ, Tissue
from models.training.anatomy import Anatomy

Range = tuple[float, float]

# A labelled CT that ends below the chest has no levels of these.
_OF_THE_CHEST = (
    (Tissue.HEART, 20.0, 200.0),
    (Tissue.MYOCARDIUM, 30.0, 130.0),
    (Tissue.LUNG, -900.0, -700.0),
)
_AIR_HU = -1024.0
_AS_BRIGHT = 0.2  # chance
# Rounding leaves what was clipped to the window's lower end this near to it.
_DARK_HU = 1.0
# Where a scan of the abdomen begins, from the dome of the liver on.
_ABOVE_DOME_MM = (-24.0, 24.0)


@dataclass(frozen=True)
class Augmentation:
    """How far samples may differ; chances are of 1."""

    scale: Range = (0.72, 1.30)  # of each axis on its own
    turn_degrees: float = 12.0
    shift_mm: tuple[float, float, float] = (60.0, 28.0, 36.0)
    anywhere: float = 0.2  # chance to look anywhere along the body, at no liver too
    warps: tuple[tuple[float, float], ...] = ((96.0, 14.0), (40.0, 5.0))  # grid mm, up to mm
    as_scanned: float = 0.12
    any_brightness: float = 0.15  # organs of no phase at all
    phase_weights: tuple[float, float, float] = (0.2, 0.3, 0.5)
    dome_cut: float = 0.0  # chance that the scan begins at the dome of the liver, as many do
    slab: float = 0.3
    slab_mm: Range = (36.0, 160.0)
    arms: float = 0.25
    table: float = 0.6
    round_view: float = 0.25
    lesions: float = 0.4
    noise_hu: float = 32.0


@dataclass(frozen=True)
class Sampler:
    """Draws samples of `shape` (Z, Y, X) voxels of `spacing_mm`, normalised as by `prepare`.

    `organs` are those to be found, in the order of the network's classes from 1.
    """

    shape: tuple[int, int, int]
    spacing_mm: float
    hu_window: Range
    organs: tuple[Organ, ...]
    how: Augmentation = Augmentation()

    def draw(self, body: Anatomy, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """An image in 0..1 and the classes of its voxels, both (1, Z, Y, X)."""
        low, high = self.hu_window
        # Clipped before it is resampled, as by `prepare`: else the edge to the lung would lie
        # further inside than in a scan, and the network would learn to reach into the lung.
        painted = _painted(body, _levels(body, self.how, rng), rng).clip(low, high)
        places = self._places(body, rng)
        above_low = torch.from_numpy(painted - np.float32(low))[None]
        hu = _at(places, above_low)[0].numpy() + np.float32(low)  # (Z, Y, X)
        shares = _at(places, _shares(body, self.organs))  # (1 + organs, Z, Y, X)
        liver, classes = shares[0].numpy() > 0.5, _classes(shares[1:])
        self._surround(hu, rng)
        hu = self._scanned(hu.clip(low, high), liver, rng)
        self._cut(hu, classes, liver, rng)
        level = (hu.clip(low, high) - low) / (high - low)
        if rng.random() < 0.25:
            level = level ** rng.uniform(0.75, 1.35)
        image = torch.from_numpy(level.astype(np.float32))
        return image[None], torch.from_numpy(classes)[None]

    def _places(self, body: Anatomy, rng: np.random.Generator) -> Tensor:
        """For each voxel of the sample the place in the body, as `grid_sample` wants it."""
        how = self.how
        scale = rng.uniform(*how.scale, 3) * rng.uniform(0.93, 1.07)
        step = self.spacing_mm / body.spacing_mm / scale
        turned = turn(np.radians(rng.uniform(-1, 1, 3) * how.turn_degrees)) * step
        found = np.flatnonzero((body.organs == Organ.LIVER).any(axis=(1, 2)))
        middle = (np.asarray(body.tissues.shape) - 1) / 2
        if len(found):
            middle[0] = (found[0] + found[-1]) / 2
        if rng.random() < how.anywhere:
            middle[0] = rng.uniform(0, body.tissues.shape[0] - 1)
        middle += rng.uniform(-1, 1, 3) * np.asarray(how.shift_mm) / body.spacing_mm
        axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in self.shape]
        at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ turned.T.astype(np.float32)
        places = torch.from_numpy(at + middle.astype(np.float32))  # (Z, Y, X, 3), voxels of body
        for grid_mm, up_to_mm in how.warps:
            amplitude = rng.uniform(0, up_to_mm) / body.spacing_mm
            field = smooth_field(self.shape, grid_mm / self.spacing_mm, rng, 3)
            places += field.movedim(0, -1) * amplitude
        extent = torch.tensor(body.tissues.shape, dtype=torch.float32) - 1
        return (places / extent * 2 - 1).flip(-1)[None]

    def _surround(self, hu: NDArray[np.float32], rng: np.random.Generator) -> None:
        """Put a table below and arms beside the body, where there is air."""
        air = self._is_dark(hu)
        _, rows, columns = hu.shape
        y, x = np.ogrid[0:rows, 0:columns]
        if rng.random() < self.how.table:
            solid = np.argwhere((~air).any(axis=(0, 2)))
            back = float(solid[0, 0]) if len(solid) else 0.0
            curve = rng.uniform(0.0, 0.008) * (x - columns / 2) ** 2
            depth = y - (back - rng.uniform(0.5, 4)) - curve
            line = (np.abs(depth) < rng.uniform(0.5, 1.2))[None]
            hu[line & air] = rng.uniform(-500, 300)
        if rng.random() < self.how.arms:
            for side in (-1, 1):
                centre_x = columns / 2 + side * columns * rng.uniform(0.40, 0.52)
                centre_y = rows * rng.uniform(0.2, 0.6)
                radius = rng.uniform(7, 12)
                far = np.sqrt((x - centre_x) ** 2 + ((y - centre_y) * rng.uniform(0.8, 1.2)) ** 2)
                for share, low, high in ((1.0, -120, -80), (0.85, 30, 80), (0.3, 300, 700)):
                    hu[(far < radius * share)[None] & air] = rng.uniform(low, high)

    def _scanned(
        self, hu: NDArray[np.float32], liver: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Uneven brightness, lesions and vessels of the liver, blur and noise."""
        image = torch.from_numpy(hu)
        dark = torch.from_numpy(self._is_dark(hu))
        if rng.random() < 0.5:
            field = smooth_field(self.shape, rng.uniform(3, 10), rng)[0]
            image = image + field * float(rng.uniform(0, 10))
        if rng.random() < self.how.lesions:
            field = smooth_field(self.shape, rng.uniform(1.5, 5), rng)[0]
            spots = torch.from_numpy(liver) & (field > float(rng.uniform(0.8, 1.4)))
            image = image + spots * float(rng.uniform(-60, 80))
        image = image.masked_fill(dark, self.hu_window[0])
        if rng.random() < 0.4:
            soft = functional.avg_pool3d(image[None, None], 3, 1, 1)[0, 0]
            image = torch.lerp(image, soft, float(rng.uniform(0, 0.8)))
        noise = rng.standard_normal(self.shape, dtype=np.float32)
        noise *= np.float32(rng.uniform(0, self.how.noise_hu))
        noise[self._is_dark(image.numpy())] = 0
        scanned: NDArray[np.float32] = image.numpy() + noise
        return scanned

    def _is_dark(self, hu: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where it is air or lung: at the window's lower end, noise and all."""
        return hu < self.hu_window[0] + _DARK_HU

    def _cut(
        self,
        hu: NDArray[np.float32],
        classes: NDArray[np.uint8],
        liver: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> None:
        """Leave a thin slab, or a round field of view; outside of it is air and no organ."""
        depth, rows, columns = self.shape
        outside = np.zeros(self.shape, dtype=bool)
        if rng.random() < self.how.slab:
            thick = int(rng.uniform(*self.how.slab_mm) / self.spacing_mm)
            start = int(rng.integers(0, max(1, depth - thick)))
            outside[:start] = outside[start + thick :] = True
        # Asked first whether it is wanted at all: samples without it stay as they are.
        if self.how.dome_cut > 0 and rng.random() < self.how.dome_cut and liver.any():
            top = int(np.flatnonzero(liver.any(axis=(1, 2)))[-1])
            above_mm = float(rng.uniform(*_ABOVE_DOME_MM))
            outside[max(0, top + 1 + round(above_mm / self.spacing_mm)) :] = True
        if rng.random() < self.how.round_view:
            y, x = np.ogrid[0:rows, 0:columns]
            far = (x - columns / 2 - rng.uniform(-6, 6)) ** 2 + (
                y - rows / 2 - rng.uniform(-6, 6)
            ) ** 2
            outside |= (far > (rng.uniform(0.32, 0.55) * columns) ** 2)[None]
        hu[outside], classes[outside] = _AIR_HU, 0


def _at(places: Tensor, image: Tensor) -> Tensor:
    """`image` (C, ...) at the places (1, Z, Y, X, 3) that `grid_sample` wants; 0 outside."""
    found: Tensor = functional.grid_sample(
        image[None], places, padding_mode="zeros", align_corners=True
    )[0]
    return found


def _shares(body: Anatomy, organs: tuple[Organ, ...]) -> Tensor:
    """The liver, for the lesions in it, and each organ: (1 + organs, ...). Made for every sample:
    kept for every body they take gigabytes.
    """
    masks = [body.organs == organ for organ in (Organ.LIVER, *organs)]
    return torch.from_numpy(np.stack(masks).astype(np.float32))


def _classes(shares: Tensor) -> NDArray[np.uint8]:
    """Of shares of organs in each voxel (organs, Z, Y, X), the class with the largest."""
    best, organ = shares.max(dim=0)
    background = 1 - shares.sum(dim=0)
    classes: NDArray[np.uint8] = torch.where(best > background, organ + 1, 0).byte().numpy()
    return classes


def _levels(body: Anatomy, how: Augmentation, rng: np.random.Generator) -> NDArray[np.float32]:
    """The HU of each tissue in this sample."""
    chance = rng.random()
    levels = body.levels.copy()
    for tissue, low, high in _OF_THE_CHEST:
        levels[tissue] = rng.uniform(low, high)
    if chance < how.as_scanned:
        return levels
    phase = PHASES_HU[rng.choice(len(PHASES_HU), p=how.phase_weights)]
    for tissue, (low, high) in {**ANY_PHASE_HU, **phase}.items():
        levels[tissue] = rng.uniform(low, high)
    _liken(levels, rng)
    if chance > 1 - how.any_brightness:
        for tissue in phase:
            levels[tissue] = rng.uniform(-40, 220)
    return levels


def _liken(levels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Make the liver's neighbours as bright as the liver, now and then: shape alone tells them."""
    for neighbours in ((Tissue.HEART, Tissue.MYOCARDIUM), (Tissue.VENA_CAVA,)):
        if rng.random() < _AS_BRIGHT:
            for tissue in neighbours:
                levels[tissue] = levels[Tissue.LIVER] + rng.uniform(-12, 12)


def _painted(
    body: Anatomy, levels: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """The body in HU, its own texture weakened or strengthened."""
    painted: NDArray[np.float32] = levels[body.tissues]
    if body.detail.any():
        painted += body.detail * np.float32(rng.uniform(0.4, 1.1))
    return painted


def smooth_field(
    shape: tuple[int, int, int], scale: float, rng: np.random.Generator, channels: int = 1
) -> Tensor:
    """Random fields (channels, Z, Y, X) of unit spread at knots `scale` voxels apart."""
    knots = [max(2, round(n / scale) + 2) for n in shape]
    field = torch.from_numpy(rng.standard_normal((1, channels, *knots), dtype=np.float32))
    smooth: Tensor = functional.interpolate(field, size=shape, mode="trilinear", align_corners=True)
    return smooth[0]


def turn(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rotation by `angles` (rad) about the three axes."""
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        turned = one @ turned
    return turned
