"""What changes while a network learns, all of it kept so that a killed run goes on as it was."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn

from models.networks import build, divisor, run_padded
from models.training.config import (
    InvalidConfig,
    NamedConfig,
    Precision,
    ScheduleConfig,
    TrainConfig,
)

_DTYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


@dataclass
class Learner:
    """A network in training. `average` is the running mean of its weights, or itself.

    `wrapped` is what is called: the network, or the same under DistributedDataParallel.
    """

    network: nn.Module
    wrapped: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None
    scaler: torch.amp.GradScaler
    loss: nn.Module
    config: TrainConfig
    device: torch.device
    multiple: int

    @classmethod
    def new(cls, config: TrainConfig, steps: int, device: torch.device) -> Self:
        """An untrained one; `steps` is the length of the whole training.

        Raises:
            InvalidConfig: torch has no such optimiser or schedule, or not with these arguments.
        """
        torch.manual_seed(config.seed)
        network = build(config.network_spec(), config.classes).to(device)
        optimiser = _optimiser(config.optimiser, network)
        average = network if config.average is None else deepcopy(network)
        return cls(
            network=network,
            wrapped=network,
            average=average,
            optimiser=optimiser,
            schedule=_schedule(config.schedule, optimiser, steps),
            scaler=torch.amp.GradScaler(
                device.type, enabled=config.precision is Precision.FP16 and device.type == "cuda"
            ),
            loss=_loss(config, device),
            config=config,
            device=device,
            multiple=divisor(config.network_spec()),
        )

    def step(self, images: Tensor, truths: Tensor) -> float:
        """Learn from images and classes (B, 1, Z, Y, X); the loss."""
        self.wrapped.train()
        # Channels last takes 0.6 of the time on a CPU that has instructions for bfloat16.
        images = images.to(self.device, memory_format=torch.channels_last_3d)
        with torch.autocast(
            self.device.type,
            _DTYPES.get(self.config.precision, torch.bfloat16),
            enabled=self.config.precision in _DTYPES,
        ):
            scores = run_padded(self.wrapped, images, self.multiple)  # (B, classes, Z, Y, X)
        loss: Tensor = self.loss(scores.float(), truths.to(self.device).float())
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call] # torch's own
        if self.config.clip_gradient is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self._average()
        return loss.item()

    def advance_rate(self) -> None:
        """The next learning rate of the schedule."""
        if self.schedule is not None:
            self.schedule.step()

    @property
    def rate(self) -> float:
        """The learning rate as it is."""
        return float(self.optimiser.param_groups[0]["lr"])

    def _average(self) -> None:
        if self.config.average is None:
            return
        with torch.no_grad():
            pairs = zip(
                self.average.state_dict().values(), self.network.state_dict().values(), strict=True
            )
            for mean, value in pairs:
                if value.dtype.is_floating_point:
                    mean.lerp_(value, 1 - self.config.average)
                else:
                    mean.copy_(value)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state_all([s.cpu() for s in state["random_gpu"]])


def save(content: object, path: Path) -> None:
    """Write a file of torch's, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    torch.save(content, temporary)
    temporary.replace(path)


def _optimiser(config: NamedConfig, network: nn.Module) -> torch.optim.Optimizer:
    kind = getattr(torch.optim, config.name, None)
    if not isinstance(kind, type) or not issubclass(kind, torch.optim.Optimizer):
        raise InvalidConfig(f"optimiser.name: torch.optim has no {config.name!r}")
    try:
        return kind(network.parameters(), **config.arguments)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"optimiser.arguments: {error}") from error


def _schedule(
    config: ScheduleConfig | None, optimiser: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    if config is None:
        return None
    kind = getattr(torch.optim.lr_scheduler, config.name, None)
    if not isinstance(kind, type) or not issubclass(kind, torch.optim.lr_scheduler.LRScheduler):
        raise InvalidConfig(f"schedule.name: torch.optim.lr_scheduler has no {config.name!r}")
    arguments = dict(config.arguments)
    if kind is torch.optim.lr_scheduler.OneCycleLR:
        arguments = {"max_lr": optimiser.param_groups[0]["lr"], "total_steps": steps} | arguments
    try:
        return kind(optimiser, **arguments)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"schedule.arguments: {error}") from error


def _loss(config: TrainConfig, device: torch.device) -> nn.Module:
    own = config.loss.class_weights
    weights = own or (config.loss.background_weight, *[1.0] * len(config.labels))
    loss: nn.Module = DiceCELoss(
        to_onehot_y=True,
        softmax=True,
        include_background=config.loss.include_background,
        batch=True,
        weight=None if set(weights) == {1.0} else torch.tensor(weights, device=device),
        lambda_dice=config.loss.dice,
        lambda_ce=config.loss.cross_entropy,
    )
    return loss
