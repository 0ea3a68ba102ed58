"""Synthetic CT of a deformed body with random shape, contrast phase, scanner and field of view.

Images are generated from tissue maps (Billot et al. 2023, SynthSeg), so that the network learns
where an organ lies among its neighbours, not how bright it is. Images are never mirrored: the liver
is on the right.
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

# HU ranges of tissues that a labelled CT lacks if it ends below the chest.
_CHEST_HU = (
    (Tissue.HEART, 20.0, 200.0),
    (Tissue.MYOCARDIUM, 30.0, 130.0),
    (Tissue.LUNG, -900.0, -700.0),
)
_AIR_HU = -1024.0
_ISODENSE_PROBABILITY = 0.2
# Tolerance: values clipped to the lower end of the window differ from it by rounding.
_DARK_TOLERANCE_HU = 1.0
# The upper end of an abdominal scan, relative to the dome of the liver.
_ABOVE_DOME_MM = (-24.0, 24.0)


@dataclass(frozen=True)
class SynthesisOptions:
    """The ranges of random variation; values without a unit are probabilities, 0..1."""

    scale: Range = (0.72, 1.30)  # of each axis independently
    rotation_degrees: float = 12.0
    shift_mm: tuple[float, float, float] = (60.0, 28.0, 36.0)
    anywhere: float = 0.2  # a position anywhere along the body, possibly without liver
    warps: tuple[tuple[float, float], ...] = (
        (96.0, 14.0),
        (40.0, 5.0),
    )  # knot spacing mm, maximal amplitude mm
    as_scanned: float = 0.12  # the HU of the labelled CT or phantom itself
    any_brightness: float = 0.15  # organs in HU of no contrast phase
    phase_weights: tuple[float, float, float] = (0.2, 0.3, 0.5)
    dome_cut: float = 0.0  # the scan ends at the dome of the liver, as many do
    slab: float = 0.3  # a scan of few slices
    slab_mm: Range = (36.0, 160.0)
    arms: float = 0.25
    table: float = 0.6
    round_view: float = 0.25  # a circular field of view
    lesions: float = 0.4
    noise_hu: float = 32.0


@dataclass(frozen=True)
class ImageSynthesis:
    """Draws samples of `shape` (Z, Y, X) voxels of `spacing_mm`, normalised as by `prepare`.

    `organs` lists the organs to segment, in the order of the network's classes from 1.
    """

    shape: tuple[int, int, int]
    spacing_mm: float
    hu_window: Range
    organs: tuple[Organ, ...]
    options: SynthesisOptions = SynthesisOptions()

    def draw(self, body: Anatomy, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Returns an image in 0..1 and the class indices of its voxels, both (1, Z, Y, X)."""
        low, high = self.hu_window
        # Clipping precedes resampling, as in `prepare`. Otherwise the edge to the lung would lie
        # further inside than in a scan, and the network would learn masks that enter the lung.
        painted = _painted(body, _draw_tissue_hu(body, self.options, rng), rng).clip(low, high)
        positions = self._sampling_grid(body, rng)
        above_low = torch.from_numpy(painted - np.float32(low))[None]
        hu = _resample(positions, above_low)[0].numpy() + np.float32(low)  # (Z, Y, X)
        fractions = _resample(positions, _organ_masks(body, self.organs))  # (1 + organs, Z, Y, X)
        liver, classes = fractions[0].numpy() > 0.5, _classes(fractions[1:])
        self._add_table_and_arms(hu, rng)
        hu = self._simulate_scan(hu.clip(low, high), liver, rng)
        self._crop(hu, classes, liver, rng)
        intensity = (hu.clip(low, high) - low) / (high - low)
        if rng.random() < 0.25:
            intensity = intensity ** rng.uniform(0.75, 1.35)
        image = torch.from_numpy(intensity.astype(np.float32))
        return image[None], torch.from_numpy(classes)[None]

    def _sampling_grid(self, body: Anatomy, rng: np.random.Generator) -> Tensor:
        """Returns each voxel's position in the body for `grid_sample`: (1, Z, Y, X, 3) in -1..1."""
        options = self.options
        scale = rng.uniform(*options.scale, 3) * rng.uniform(0.93, 1.07)
        step = self.spacing_mm / body.spacing_mm / scale
        matrix = (
            rotation_matrix(np.radians(rng.uniform(-1, 1, 3) * options.rotation_degrees)) * step
        )
        liver_slices = np.flatnonzero((body.organs == Organ.LIVER).any(axis=(1, 2)))
        centre = (np.asarray(body.tissues.shape) - 1) / 2
        if len(liver_slices):
            centre[0] = (liver_slices[0] + liver_slices[-1]) / 2
        if rng.random() < options.anywhere:
            centre[0] = rng.uniform(0, body.tissues.shape[0] - 1)
        centre += rng.uniform(-1, 1, 3) * np.asarray(options.shift_mm) / body.spacing_mm
        axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in self.shape]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ matrix.T.astype(np.float32)
        positions = torch.from_numpy(offsets + centre.astype(np.float32))  # (Z, Y, X, 3) voxels
        for knot_mm, max_mm in options.warps:
            amplitude = rng.uniform(0, max_mm) / body.spacing_mm
            field = random_smooth_field(self.shape, knot_mm / self.spacing_mm, rng, 3)
            positions += field.movedim(0, -1) * amplitude
        extent = torch.tensor(body.tissues.shape, dtype=torch.float32) - 1
        return (positions / extent * 2 - 1).flip(-1)[None]

    def _add_table_and_arms(self, hu: NDArray[np.float32], rng: np.random.Generator) -> None:
        """Adds a table below and arms beside the body where `hu` (Z, Y, X) shows air, in place."""
        air = self._is_dark(hu)
        _, rows, columns = hu.shape
        y, x = np.ogrid[0:rows, 0:columns]
        if rng.random() < self.options.table:
            solid = np.argwhere((~air).any(axis=(0, 2)))
            back = float(solid[0, 0]) if len(solid) else 0.0
            curve = rng.uniform(0.0, 0.008) * (x - columns / 2) ** 2
            depth = y - (back - rng.uniform(0.5, 4)) - curve
            line = (np.abs(depth) < rng.uniform(0.5, 1.2))[None]
            hu[line & air] = rng.uniform(-500, 300)
        if rng.random() < self.options.arms:
            for side in (-1, 1):
                centre_x = columns / 2 + side * columns * rng.uniform(0.40, 0.52)
                centre_y = rows * rng.uniform(0.2, 0.6)
                radius = rng.uniform(7, 12)
                distance = np.sqrt(
                    (x - centre_x) ** 2 + ((y - centre_y) * rng.uniform(0.8, 1.2)) ** 2
                )
                for fraction, low, high in ((1.0, -120, -80), (0.85, 30, 80), (0.3, 300, 700)):
                    hu[(distance < radius * fraction)[None] & air] = rng.uniform(low, high)

    def _simulate_scan(
        self, hu: NDArray[np.float32], liver: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Returns `hu` (Z, Y, X) with uneven brightness, lesions of the liver, blur and noise."""
        image = torch.from_numpy(hu)
        dark = torch.from_numpy(self._is_dark(hu))
        if rng.random() < 0.5:
            field = random_smooth_field(self.shape, rng.uniform(3, 10), rng)[0]
            image = image + field * float(rng.uniform(0, 10))
        if rng.random() < self.options.lesions:
            field = random_smooth_field(self.shape, rng.uniform(1.5, 5), rng)[0]
            lesions = torch.from_numpy(liver) & (field > float(rng.uniform(0.8, 1.4)))
            image = image + lesions * float(rng.uniform(-60, 80))
        image = image.masked_fill(dark, self.hu_window[0])
        if rng.random() < 0.4:
            smoothed = functional.avg_pool3d(image[None, None], 3, 1, 1)[0, 0]
            image = torch.lerp(image, smoothed, float(rng.uniform(0, 0.8)))
        noise = rng.standard_normal(self.shape, dtype=np.float32)
        noise *= np.float32(rng.uniform(0, self.options.noise_hu))
        noise[self._is_dark(image.numpy())] = 0
        scanned: NDArray[np.float32] = image.numpy() + noise
        return scanned

    def _is_dark(self, hu: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each voxel is air or lung: at the lower end of the window."""
        return hu < self.hu_window[0] + _DARK_TOLERANCE_HU

    def _crop(
        self,
        hu: NDArray[np.float32],
        classes: NDArray[np.uint8],
        liver: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> None:
        """Crops to a slab or a round field of view, in place; outside are air and no organ."""
        depth, rows, columns = self.shape
        outside = np.zeros(self.shape, dtype=bool)
        if rng.random() < self.options.slab:
            thickness = int(rng.uniform(*self.options.slab_mm) / self.spacing_mm)
            start = int(rng.integers(0, max(1, depth - thickness)))
            outside[:start] = outside[start + thickness :] = True
        # With dome_cut 0 nothing is drawn, so that the samples of such a training do not change.
        if self.options.dome_cut > 0 and rng.random() < self.options.dome_cut and liver.any():
            top = int(np.flatnonzero(liver.any(axis=(1, 2)))[-1])
            above_mm = float(rng.uniform(*_ABOVE_DOME_MM))
            outside[max(0, top + 1 + round(above_mm / self.spacing_mm)) :] = True
        if rng.random() < self.options.round_view:
            y, x = np.ogrid[0:rows, 0:columns]
            squared = (x - columns / 2 - rng.uniform(-6, 6)) ** 2 + (
                y - rows / 2 - rng.uniform(-6, 6)
            ) ** 2
            outside |= (squared > (rng.uniform(0.32, 0.55) * columns) ** 2)[None]
        hu[outside], classes[outside] = _AIR_HU, 0


def _resample(positions: Tensor, image: Tensor) -> Tensor:
    """Samples `image` (C, ...) at positions (1, Z, Y, X, 3) in -1..1; 0 outside of it."""
    sampled: Tensor = functional.grid_sample(
        image[None], positions, padding_mode="zeros", align_corners=True
    )[0]
    return sampled


def _organ_masks(body: Anatomy, organs: tuple[Organ, ...]) -> Tensor:
    """Returns masks of the liver (for its lesions) and of each organ: (1 + organs, ...).

    They are computed for every sample, since keeping them for every body takes gigabytes.
    """
    masks = [body.organs == organ for organ in (Organ.LIVER, *organs)]
    return torch.from_numpy(np.stack(masks).astype(np.float32))


def _classes(fractions: Tensor) -> NDArray[np.uint8]:
    """Returns the class with the largest fraction of each voxel, from (organs, Z, Y, X)."""
    best, organ = fractions.max(dim=0)
    background = 1 - fractions.sum(dim=0)
    classes: NDArray[np.uint8] = torch.where(best > background, organ + 1, 0).byte().numpy()
    return classes


def _draw_tissue_hu(
    body: Anatomy, options: SynthesisOptions, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draws the HU of each tissue in this sample."""
    chance = rng.random()
    tissue_hu = body.tissue_hu.copy()
    for tissue, low, high in _CHEST_HU:
        tissue_hu[tissue] = rng.uniform(low, high)
    if chance < options.as_scanned:
        return tissue_hu
    phase = PHASES_HU[rng.choice(len(PHASES_HU), p=options.phase_weights)]
    for tissue, (low, high) in {**ANY_PHASE_HU, **phase}.items():
        tissue_hu[tissue] = rng.uniform(low, high)
    _make_isodense(tissue_hu, rng)
    if chance > 1 - options.any_brightness:
        for tissue in phase:
            tissue_hu[tissue] = rng.uniform(-40, 220)
    return tissue_hu


def _make_isodense(tissue_hu: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Gives neighbours of the liver its HU at random, so that only shape separates them."""
    for neighbours in ((Tissue.HEART, Tissue.MYOCARDIUM), (Tissue.VENA_CAVA,)):
        if rng.random() < _ISODENSE_PROBABILITY:
            for tissue in neighbours:
                tissue_hu[tissue] = tissue_hu[Tissue.LIVER] + rng.uniform(-12, 12)


def _painted(
    body: Anatomy, tissue_hu: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Returns the body in HU (Z, Y, X), with its texture at a random strength."""
    painted: NDArray[np.float32] = tissue_hu[body.tissues]
    if body.texture_hu.any():
        painted += body.texture_hu * np.float32(rng.uniform(0.4, 1.1))
    return painted


def random_smooth_field(
    shape: tuple[int, int, int], scale: float, rng: np.random.Generator, channels: int = 1
) -> Tensor:
    """Returns smooth random fields (channels, Z, Y, X).

    Standard normal values at knots `scale` voxels apart are interpolated linearly.
    """
    knots = [max(2, round(n / scale) + 2) for n in shape]
    field = torch.from_numpy(rng.standard_normal((1, channels, *knots), dtype=np.float32))
    smooth: Tensor = functional.interpolate(field, size=shape, mode="trilinear", align_corners=True)
    return smooth[0]


def rotation_matrix(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the rotation by `angles` (rad) about the three axes."""
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        about_axis = np.eye(3)
        about_axis[i, i] = about_axis[j, j] = np.cos(angle)
        about_axis[i, j], about_axis[j, i] = -np.sin(angle), np.sin(angle)
        rotation = about_axis @ rotation
    return rotation
