"""Augmented patches of labelled CT, which is preprocessed once as the node preprocesses it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.data import InvalidDataset, LabelledVolume, ReadSeries, find_cases, load_case
from models.inference.preprocessing import prepare
from models.manifest import ModelSpec
from models.training.config import AugmentConfig, CasesConfig, InvalidConfig, TrainConfig
from models.training.image_synthesis import random_smooth_field, rotation_matrix
from models.training.validation import training_spec


@dataclass(frozen=True)
class PreparedCase:
    """A labelled CT on the network's grid.

    `image` (Z, Y, X) is float16 in 0..1, `classes` (Z, Y, X) is uint8. `voxels` holds for each
    class that is present the indices of its voxels, (N, 3).
    """

    image: Tensor = field(repr=False)
    classes: Tensor = field(repr=False)
    voxels: tuple[NDArray[np.int64], ...] = field(repr=False)


@dataclass(frozen=True)
class CasePatches:
    """Draws patches of labelled cases."""

    prepared: tuple[PreparedCase, ...]
    patch: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    hu_width: float  # width of the HU window, which maps to 0..1
    foreground: float
    augmentation: AugmentConfig

    def __len__(self) -> int:
        return len(self.prepared)

    @classmethod
    def load(
        cls,
        cases: CasesConfig,
        config: TrainConfig,
        data: Path,
        read_series: ReadSeries | None,
    ) -> tuple[Self, list[LabelledVolume]]:
        """Reads and prepares the cases below `data`; also returns those held out for validation.

        Raises:
            InvalidConfig: the data cannot be used, or no case is left to train on.
        """
        spec, labels = training_spec(config), config.organ_labels()
        try:
            listed = find_cases(data / cases.folder, cases.layout).cases
            loaded = [
                load_case(case, labels, cases.labels, read_series)
                for case in listed
                if case.truth is not None
            ]
        except InvalidDataset as error:
            raise InvalidConfig(str(error)) from error
        held_out = _held_out(len(loaded), cases.validation, config.seed)
        training = [case for k, case in enumerate(loaded) if k not in held_out]
        if not training:
            raise InvalidConfig(f"{data / cases.folder}: no labelled case is left to train on")
        low, high = config.grid.hu_window
        source = cls(
            prepared=tuple(prepare_case(case, spec) for case in training),
            patch=config.patch,
            spacing_mm=config.grid.spacing_mm,
            hu_width=high - low,
            foreground=cases.foreground,
            augmentation=config.augmentation,
        )
        return source, [loaded[k] for k in sorted(held_out)]

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Returns a patch: image in 0..1 and class indices, both (1, Z, Y, X)."""
        case = self.prepared[rng.integers(len(self.prepared))]
        whole = case.image.shape
        size = [n or w for n, w in zip(self.patch, whole, strict=True)]
        centre = self._centre(case, size, rng)
        if rng.random() < self.augmentation.chance:
            return self._augmented(case, centre, size, rng)
        return _cropped(case, centre, size)

    def _centre(
        self, case: PreparedCase, size: Sequence[int], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Returns the voxel index of the patch's centre: a labelled voxel, or anywhere."""
        if case.voxels and rng.random() < self.foreground:
            of_class = case.voxels[rng.integers(len(case.voxels))]
            centre: NDArray[np.float64] = of_class[rng.integers(len(of_class))].astype(np.float64)
            return centre
        shape = np.asarray(case.image.shape)
        half = np.minimum(np.asarray(size) / 2, (shape - 1) / 2)
        return rng.uniform(half, np.maximum(half, shape - 1 - half))

    def _augmented(
        self,
        case: PreparedCase,
        centre: NDArray[np.float64],
        size: Sequence[int],
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Returns the patch scaled, rotated, warped, with other brightness, contrast and noise."""
        ranges, spacing = self.augmentation, np.asarray(self.spacing_mm)
        rotation = rotation_matrix(np.radians(rng.uniform(-1, 1, 3) * ranges.turn_degrees))
        # The rotation is in mm, so that voxels need not be cubes.
        matrix = (rotation / rng.uniform(*ranges.scale, 3)) * spacing / spacing[:, None]
        axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in size]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ matrix.T.astype(np.float32)
        positions = torch.from_numpy(offsets + centre.astype(np.float32))  # (Z, Y, X, 3)
        shape = (size[0], size[1], size[2])
        warp = random_smooth_field(shape, 40.0 / float(spacing.min()), rng, 3).movedim(0, -1)
        positions += warp * torch.as_tensor(
            rng.uniform(0, ranges.warp_mm) / 2 / spacing, dtype=torch.float32
        )
        extent = torch.tensor(case.image.shape, dtype=torch.float32).sub(1).clamp(min=1)
        grid = (positions / extent * 2 - 1).flip(-1)[None]
        image = _sampled(case.image.float(), grid, "bilinear")
        classes = _sampled(case.classes.float(), grid, "nearest").round().to(torch.uint8)
        image = (image - 0.5) * float(rng.uniform(*ranges.contrast)) + 0.5
        image += float(rng.uniform(-1, 1)) * ranges.brightness_hu / self.hu_width
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        image += noise * float(rng.uniform(0, ranges.noise_hu)) / self.hu_width
        return image.clamp(0, 1)[None], classes[None]


def prepare_case(case: LabelledVolume, spec: ModelSpec) -> PreparedCase:
    """Resamples a labelled CT to the network's grid."""
    image = prepare(case.volume, spec).tensor[0, 0]
    unit_window = replace(spec, hu_window=(0.0, 1.0))  # leaves a fraction of 0..1 unchanged
    best = torch.full(image.shape, 0.5)
    classes = torch.zeros(image.shape, dtype=torch.uint8)
    for label in case.truth.labels:
        inside: hd.Volume = case.truth.volume.with_array(case.truth.of(label).astype(np.float32))
        fraction = prepare(inside, unit_window).tensor[0, 0]
        larger = fraction >= best
        classes[larger], best[larger] = label.index, fraction[larger]
    voxels = [
        (classes == label.index).nonzero().numpy()
        for label in case.truth.labels
        if bool((classes == label.index).any())
    ]
    return PreparedCase(image.half(), classes, tuple(voxels))


def _held_out(count: int, share: float, seed: int) -> set[int]:
    """Returns the indices of the validation cases: at least one of several if `share` > 0."""
    held_out = round(count * share)
    if share > 0 and count > 1:
        held_out = min(max(held_out, 1), count - 1)
    return {int(k) for k in np.random.default_rng(seed).permutation(count)[:held_out]}


def _sampled(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    sampled: Tensor = functional.grid_sample(
        image[None, None], grid, mode=mode, padding_mode="zeros", align_corners=True
    )[0, 0]
    return sampled


def _cropped(
    case: PreparedCase, centre: NDArray[np.float64], size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Returns the patch without augmentation; voxels outside of the CT are air."""
    start = np.rint(centre - (np.asarray(size) - 1) / 2).astype(int)
    start = np.clip(start, 0, np.maximum(np.asarray(case.image.shape) - size, 0))
    region = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    image, classes = case.image[region].float(), case.classes[region]
    padding = [
        (0, n - length) for n, length in zip(reversed(size), reversed(image.shape), strict=True)
    ]
    flat = [n for pair in padding for n in pair]
    return functional.pad(image, flat)[None], functional.pad(classes, flat)[None]
