"""The samples of a training by number; the same number gives the same sample in any process."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Sample = tuple[Tensor, Tensor]


class SampleSource(Protocol):
    """Draws samples: synthetic images, or patches of labelled cases."""

    def draw(self, rng: np.random.Generator) -> Sample:
        """Returns an image in 0..1 (float32) and its class indices (uint8), both (1, Z, Y, X)."""
        ...


@dataclass(frozen=True)
class SampleDataset(Dataset[Sample]):
    """All samples of a training; `shares` are the relative frequencies of the sources."""

    sources: Sequence[SampleSource]
    shares: Sequence[float]
    seed: int

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self.seed, number])
        shares = np.asarray(self.shares) / sum(self.shares)
        return self.sources[rng.choice(len(shares), p=shares)].draw(rng)


def batches(
    samples: SampleDataset, numbers: Sequence[Sequence[int]], workers: int
) -> Generator[Sample]:
    """Yields one batch for each list of sample numbers, both tensors (B, 1, Z, Y, X).

    `workers` processes draw ahead; with 0 this process draws on demand. The samples are the same.
    """
    loader = DataLoader(
        samples,
        batch_sampler=list(map(list, numbers)),
        num_workers=workers,
        collate_fn=_stack,
        multiprocessing_context="fork" if workers else None,
    )
    yield from loader


def _stack(samples: list[Sample]) -> Sample:
    images, classes = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(classes)  # (B, 1, Z, Y, X) each
