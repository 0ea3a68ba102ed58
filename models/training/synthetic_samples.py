"""Samples from synthetic images: one fully labelled CT with many chests, and phantoms."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from torch import Tensor

from models.phantom import Organ
from models.training.anatomy import (
    Anatomy,
    anatomy_without_organs,
    labelled_ct_anatomy,
    phantom_anatomy,
)
from models.training.config import BodiesConfig, GridConfig, InvalidConfig
from models.training.image_synthesis import ImageSynthesis, SynthesisOptions
from models.training.synthetic_chest import with_chest


@dataclass(frozen=True)
class SyntheticSamples:
    """Draws synthetic images.

    A fraction of `phantom_share` comes from the phantoms and of `without_organs_share` from bodies
    without organs; the rest comes from the labelled CT.
    """

    labelled: tuple[Anatomy, ...]
    phantoms: tuple[Anatomy, ...]
    without_organs: tuple[Anatomy, ...]
    phantom_share: float
    without_organs_share: float
    synthesis: ImageSynthesis

    @classmethod
    def load(
        cls,
        config: BodiesConfig,
        data: Path,
        grid: GridConfig,
        patch: tuple[int, int, int],
        seed: int,
    ) -> Self:
        """Reads the labelled CT below `data` and paints the phantoms.

        Raises:
            InvalidConfig: an organ is unknown, the voxels are not cubes, or the CT is missing.
        """
        if len(set(grid.spacing_mm)) > 1 or min(patch) <= 0:
            raise InvalidConfig(
                "[bodies] needs cubic voxels (grid.spacing_mm) and a patch without 0"
            )
        organs = tuple(_organ(name) for name in config.organs)
        folder = data / config.folder
        try:
            names = json.loads((folder / "labels_all.json").read_text(encoding="utf-8"))
            body = labelled_ct_anatomy(folder, {int(value): name for value, name in names.items()})
        except (OSError, ValueError) as error:
            raise InvalidConfig(f"bodies.folder: {folder}: {error}") from error
        rng = np.random.default_rng(seed)
        return cls(
            labelled=tuple(with_chest(body, rng) for _ in range(config.chests)),
            phantoms=tuple(phantom_anatomy(k) for k in range(config.phantoms)),
            without_organs=tuple(anatomy_without_organs(k) for k in range(config.others)),
            phantom_share=config.phantom_share,
            without_organs_share=config.others_share,
            synthesis=ImageSynthesis(
                patch,
                grid.spacing_mm[0],
                grid.hu_window,
                organs,
                SynthesisOptions(anywhere=config.anywhere, dome_cut=config.dome_cut),
            ),
        )

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Returns a sample: image in 0..1 and class indices, both (1, Z, Y, X)."""
        chance = rng.random()
        bodies = self.labelled
        if chance < self.without_organs_share:
            bodies = self.without_organs
        elif chance < self.without_organs_share + self.phantom_share:
            bodies = self.phantoms
        return self.synthesis.draw(bodies[rng.integers(len(bodies))], rng)


def _organ(name: str) -> Organ:
    """Returns the organ of that name, ignoring case."""
    try:
        return Organ[name.upper()]
    except KeyError:
        known = ", ".join(organ.name.lower() for organ in Organ if organ)
        raise InvalidConfig(f"bodies.organs: there is no {name!r}; known: {known}") from None
