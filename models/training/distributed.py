"""Data-parallel training: the processes that torchrun starts, each with its own samples.

torchrun --nproc-per-node 2 -m node.cli train CONFIG --out RUN
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.devices import select_device


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training as seen by this one; `rank` counts from 0."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and validates."""
        return self.rank == 0

    def data_parallel(self, network: nn.Module) -> nn.Module:
        """Wraps the network so that its gradients are averaged over all processes."""
        if self.world_size == 1:
            return network
        ids = [self.device.index] if self.device.type == "cuda" else None
        wrapped: nn.Module = DistributedDataParallel(network, device_ids=ids)
        return wrapped

    def barrier(self) -> None:
        """Blocks until every process has called it."""
        if self.world_size > 1:
            distributed.barrier()

    def sample_numbers(self, step: int, batch: int) -> list[int]:
        """Returns the numbers of this process's samples in a step; no two processes share one."""
        first = (step * self.world_size + self.rank) * batch
        return list(range(first, first + batch))


@contextmanager
def process_group(device: str) -> Iterator[ProcessGroup]:
    """Joins the processes that torchrun started, or yields a group of this process alone.

    `auto` selects a GPU where one is available.
    """
    world_size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    selected = select_device(device)
    if world_size == 1:
        yield ProcessGroup(0, 1, selected)
        return
    device = str(selected)
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield ProcessGroup(rank, world_size, torch.device(device))
    finally:
        distributed.destroy_process_group()
