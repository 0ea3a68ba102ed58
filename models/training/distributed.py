"""One training on several devices: each process, started by torchrun, learns from its own samples.

torchrun --nproc-per-node 2 -m node.cli train CONFIG --out RUN
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.devices import device_named


@dataclass(frozen=True)
class Team:
    """Which of how many processes this one is, from 0."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether it is this process that writes and validates."""
        return self.rank == 0

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network whose gradients are averaged over all processes."""
        if self.size == 1:
            return network
        ids = [self.device.index] if self.device.type == "cuda" else None
        wrapped: nn.Module = DistributedDataParallel(network, device_ids=ids)
        return wrapped

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def numbers(self, step: int, batch: int) -> list[int]:
        """The numbers of this process's samples in a step; no two processes share any."""
        first = (step * self.size + self.rank) * batch
        return list(range(first, first + batch))


@contextmanager
def team(device: str) -> Iterator[Team]:
    """The processes that torchrun started, or this one alone; `auto` takes a GPU where there is."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    on = device_named(device)
    if size == 1:
        yield Team(0, 1, on)
        return
    device = str(on)
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Team(rank, size, torch.device(device))
    finally:
        distributed.destroy_process_group()
