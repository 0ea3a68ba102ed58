"""Samples from labelled CT: prepared once as the node prepares, then patch by changed patch."""

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
from models.manifest import ModelSpec
from models.preprocessing import prepare
from models.training.augmentation import smooth_field, turn
from models.training.config import AugmentConfig, CasesConfig, InvalidConfig, TrainConfig
from models.training.validation import spec_of


@dataclass(frozen=True)
class PreparedCase:
    """On the network's grid: `image` (Z, Y, X) in 0..1 as float16, `classes` (Z, Y, X) as uint8,
    and for each class that is there its voxels' indices, (N, 3).
    """

    image: Tensor = field(repr=False)
    classes: Tensor = field(repr=False)
    places: tuple[NDArray[np.int64], ...] = field(repr=False)


@dataclass(frozen=True)
class Cases:
    """A source of patches."""

    prepared: tuple[PreparedCase, ...]
    patch: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    hu_width: float  # of the window: HU between 0 and 1
    foreground: float
    how: AugmentConfig

    def __len__(self) -> int:
        return len(self.prepared)

    @classmethod
    def load(
        cls,
        own: CasesConfig,
        config: TrainConfig,
        data: Path,
        read_series: ReadSeries | None,
    ) -> tuple[Self, list[LabelledVolume]]:
        """Read and prepare the cases below `data`; those held out for validation beside them.

        Raises:
            InvalidConfig: the data cannot be used, or none is left to learn from.
        """
        spec, labels = spec_of(config), config.organ_labels()
        try:
            found = find_cases(data / own.folder, own.layout).cases
            loaded = [
                load_case(case, labels, own.labels, read_series)
                for case in found
                if case.truth is not None
            ]
        except InvalidDataset as error:
            raise InvalidConfig(str(error)) from error
        held_out = _held_out(len(loaded), own.validation, config.seed)
        learned = [case for k, case in enumerate(loaded) if k not in held_out]
        if not learned:
            raise InvalidConfig(f"{data / own.folder}: no labelled case is left to learn from")
        low, high = config.grid.hu_window
        source = cls(
            prepared=tuple(prepared_case(case, spec) for case in learned),
            patch=config.patch,
            spacing_mm=config.grid.spacing_mm,
            hu_width=high - low,
            foreground=own.foreground,
            how=config.augmentation,
        )
        return source, [loaded[k] for k in sorted(held_out)]

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A patch: image in 0..1 and classes, both (1, Z, Y, X)."""
        case = self.prepared[rng.integers(len(self.prepared))]
        whole = case.image.shape
        size = [n or w for n, w in zip(self.patch, whole, strict=True)]
        middle = self._middle(case, size, rng)
        if rng.random() < self.how.chance:
            return self._changed(case, middle, size, rng)
        return _cut(case, middle, size)

    def _middle(
        self, case: PreparedCase, size: Sequence[int], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Where the patch's middle lies: about a labelled voxel, or anywhere."""
        if case.places and rng.random() < self.foreground:
            of_class = case.places[rng.integers(len(case.places))]
            middle: NDArray[np.float64] = of_class[rng.integers(len(of_class))].astype(np.float64)
            return middle
        shape = np.asarray(case.image.shape)
        half = np.minimum(np.asarray(size) / 2, (shape - 1) / 2)
        return rng.uniform(half, np.maximum(half, shape - 1 - half))

    def _changed(
        self,
        case: PreparedCase,
        middle: NDArray[np.float64],
        size: Sequence[int],
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """The patch scaled, turned, warped, and in another brightness, contrast and noise."""
        how, spacing = self.how, np.asarray(self.spacing_mm)
        turned = turn(np.radians(rng.uniform(-1, 1, 3) * how.turn_degrees))
        # In mm, so that voxels need not be cubes.
        matrix = (turned / rng.uniform(*how.scale, 3)) * spacing / spacing[:, None]
        axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in size]
        at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ matrix.T.astype(np.float32)
        places = torch.from_numpy(at + middle.astype(np.float32))  # (Z, Y, X, 3), voxels
        shape = (size[0], size[1], size[2])
        warp = smooth_field(shape, 40.0 / float(spacing.min()), rng, 3).movedim(0, -1)
        places += warp * torch.as_tensor(
            rng.uniform(0, how.warp_mm) / 2 / spacing, dtype=torch.float32
        )
        extent = torch.tensor(case.image.shape, dtype=torch.float32).sub(1).clamp(min=1)
        grid = (places / extent * 2 - 1).flip(-1)[None]
        image = _sampled(case.image.float(), grid, "bilinear")
        classes = _sampled(case.classes.float(), grid, "nearest").round().to(torch.uint8)
        image = (image - 0.5) * float(rng.uniform(*how.contrast)) + 0.5
        image += float(rng.uniform(-1, 1)) * how.brightness_hu / self.hu_width
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        image += noise * float(rng.uniform(0, how.noise_hu)) / self.hu_width
        return image.clamp(0, 1)[None], classes[None]


def prepared_case(case: LabelledVolume, spec: ModelSpec) -> PreparedCase:
    """A labelled CT on the network's grid."""
    image = prepare(case.volume, spec).tensor[0, 0]
    flat = replace(spec, hu_window=(0.0, 1.0))  # a share of 0..1 stays as it is
    best = torch.full(image.shape, 0.5)
    classes = torch.zeros(image.shape, dtype=torch.uint8)
    for label in case.truth.labels:
        inside: hd.Volume = case.truth.volume.with_array(case.truth.of(label).astype(np.float32))
        share = prepare(inside, flat).tensor[0, 0]
        more = share >= best
        classes[more], best[more] = label.index, share[more]
    places = [
        (classes == label.index).nonzero().numpy()
        for label in case.truth.labels
        if bool((classes == label.index).any())
    ]
    return PreparedCase(image.half(), classes, tuple(places))


def _held_out(count: int, share: float, seed: int) -> set[int]:
    """Which cases are for validation: at least one of several, when any are wanted."""
    wanted = round(count * share)
    if share > 0 and count > 1:
        wanted = min(max(wanted, 1), count - 1)
    return {int(k) for k in np.random.default_rng(seed).permutation(count)[:wanted]}


def _sampled(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    sampled: Tensor = functional.grid_sample(
        image[None, None], grid, mode=mode, padding_mode="zeros", align_corners=True
    )[0, 0]
    return sampled


def _cut(
    case: PreparedCase, middle: NDArray[np.float64], size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The patch as it is; what lies outside of the CT is air."""
    start = np.rint(middle - (np.asarray(size) - 1) / 2).astype(int)
    start = np.clip(start, 0, np.maximum(np.asarray(case.image.shape) - size, 0))
    where = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    image, classes = case.image[where].float(), case.classes[where]
    fill = [(0, n - have) for n, have in zip(reversed(size), reversed(image.shape), strict=True)]
    flat = [n for pair in fill for n in pair]
    return functional.pad(image, flat)[None], functional.pad(classes, flat)[None]
