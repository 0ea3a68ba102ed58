"""The optimiser and the learning-rate schedule of a training, found in torch by name."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from models.training.config import InvalidConfig, ScheduleConfig, TorchClassConfig


def build_optimiser(config: TorchClassConfig, network: nn.Module) -> Optimizer:
    """Builds the optimiser of `torch.optim` for all parameters of the network.

    Raises:
        InvalidConfig: torch has no such optimiser, or it does not accept these arguments.
    """
    optimiser_class = getattr(torch.optim, config.name, None)
    if not isinstance(optimiser_class, type) or not issubclass(optimiser_class, Optimizer):
        raise InvalidConfig(f"optimiser.name: torch.optim has no {config.name!r}")
    try:
        return optimiser_class(network.parameters(), **config.arguments)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"optimiser.arguments: {error}") from error


def build_schedule(
    config: ScheduleConfig | None, optimiser: Optimizer, steps: int
) -> LRScheduler | None:
    """Builds the schedule of `torch.optim.lr_scheduler`; None keeps the learning rate constant.

    OneCycleLR receives the optimiser's learning rate as `max_lr` and `steps` as `total_steps`
    unless the arguments set them.

    Raises:
        InvalidConfig: torch has no such schedule, or it does not accept these arguments.
    """
    if config is None:
        return None
    schedule_class = getattr(torch.optim.lr_scheduler, config.name, None)
    if not isinstance(schedule_class, type) or not issubclass(schedule_class, LRScheduler):
        raise InvalidConfig(f"schedule.name: torch.optim.lr_scheduler has no {config.name!r}")
    arguments = dict(config.arguments)
    if schedule_class is OneCycleLR:
        arguments = {"max_lr": optimiser.param_groups[0]["lr"], "total_steps": steps} | arguments
    try:
        return schedule_class(optimiser, **arguments)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"schedule.arguments: {error}") from error
