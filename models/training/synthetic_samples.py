"""Samples from bodies painted anew: one wholly labelled CT under many chests, and phantoms."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from torch import Tensor

from models.phantom import Organ
from models.training.anatomy import Anatomy, labelled_ct, phantom, without_organs
from models.training.augmentation import Augmentation, Sampler
from models.training.config import BodiesConfig, GridConfig, InvalidConfig
from models.training.synthetic_chest import with_chest


@dataclass(frozen=True)
class Bodies:
    """A source of samples: `phantom_share` of them from the phantoms, `others_share` from what has
    no organ, the rest from the labelled CT.
    """

    real: tuple[Anatomy, ...]
    phantoms: tuple[Anatomy, ...]
    others: tuple[Anatomy, ...]
    phantom_share: float
    others_share: float
    sampler: Sampler

    @classmethod
    def load(
        cls,
        config: BodiesConfig,
        data: Path,
        grid: GridConfig,
        patch: tuple[int, int, int],
        seed: int,
    ) -> Self:
        """Read the labelled CT below `data` and paint the phantoms.

        Raises:
            InvalidConfig: an organ is not known, the voxels are no cubes, or the CT is not there.
        """
        if len(set(grid.spacing_mm)) > 1 or min(patch) <= 0:
            raise InvalidConfig("bodies need voxels as long as wide, and a patch of fixed lengths")
        organs = tuple(_organ(name) for name in config.organs)
        folder = data / config.folder
        try:
            names = json.loads((folder / "labels_all.json").read_text(encoding="utf-8"))
            labelled = labelled_ct(folder, {int(value): name for value, name in names.items()})
        except (OSError, ValueError) as error:
            raise InvalidConfig(f"bodies.folder: {folder}: {error}") from error
        rng = np.random.default_rng(seed)
        return cls(
            real=tuple(with_chest(labelled, rng) for _ in range(config.chests)),
            phantoms=tuple(phantom(k) for k in range(config.phantoms)),
            others=tuple(without_organs(k) for k in range(config.others)),
            phantom_share=config.phantom_share,
            others_share=config.others_share,
            sampler=Sampler(
                patch,
                grid.spacing_mm[0],
                grid.hu_window,
                organs,
                Augmentation(anywhere=config.anywhere, dome_cut=config.dome_cut),
            ),
        )

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A sample: image in 0..1 and classes, both (1, Z, Y, X)."""
        chance = rng.random()
        among = self.real
        if chance < self.others_share:
            among = self.others
        elif chance < self.others_share + self.phantom_share:
            among = self.phantoms
        return self.sampler.draw(among[rng.integers(len(among))], rng)


def _organ(name: str) -> Organ:
    """The organ of that name, in any case."""
    try:
        return Organ[name.upper()]
    except KeyError:
        known = ", ".join(organ.name.lower() for organ in Organ if organ)
        raise InvalidConfig(f"bodies.organs: there is no {name!r}; known: {known}") from None
