"""Where samples come from: each the same for the same number, whoever draws it and when."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Sample = tuple[Tensor, Tensor]


class Source(Protocol):
    """Makes samples: bodies painted anew, or patches of labelled cases."""

    def draw(self, rng: np.random.Generator) -> Sample:
        """An image in 0..1 (float32) and the classes of its voxels (uint8), both (1, Z, Y, X)."""
        ...


@dataclass(frozen=True)
class Samples(Dataset[Sample]):
    """All samples of a training by number; `shares` say how often each source is asked."""

    sources: Sequence[Source]
    shares: Sequence[float]
    seed: int

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self.seed, number])
        shares = np.asarray(self.shares) / sum(self.shares)
        return self.sources[rng.choice(len(shares), p=shares)].draw(rng)


def batches(samples: Samples, numbers: Sequence[Sequence[int]], workers: int) -> Generator[Sample]:
    """The batches of these samples' numbers in turn: (B, 1, Z, Y, X) each.

    `workers` processes draw ahead; 0 draws when asked. The samples are the same.
    """
    loader = DataLoader(
        samples,
        batch_sampler=list(map(list, numbers)),
        num_workers=workers,
        collate_fn=_stacked,
        multiprocessing_context="fork" if workers else None,
    )
    yield from loader


def _stacked(drawn: list[Sample]) -> Sample:
    images, truths = zip(*drawn, strict=True)
    return torch.stack(images), torch.stack(truths)
