"""Train the starter model `liver-ct` from one labelled CT and phantoms.

    python -m models.training.starter --data DIR --out runs/liver-ct

DIR holds `ct.nii.gz`, `labels_all.nii.gz` and `labels_all.json`, a CT with every structure
labelled (the example of TotalSegmentator's tests, Apache-2.0). About 45 minutes on one core of a
CPU. Started again on the same folder it resumes. `models.training.export` makes a package of it.
"""

import argparse
import json
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import structlog
import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn

from models.networks import build
from models.phantom import abdomen
from models.predict import infer
from models.prepare import prepare
from models.spec import ModelSpec
from models.training.anatomies import Anatomy, labelled_ct, phantom
from models.training.augment import Sampler
from models.training.chest import with_chest

log = structlog.get_logger()

# ---- knobs -------------------------------------------------------------------------------------
PACKAGE = Path(__file__).parents[1] / "catalogue" / "liver-ct" / "model.toml"  # network, spacing


@dataclass(frozen=True)
class Knobs:
    """What one may turn."""

    steps: int = 4200  # optimiser steps
    batch: int = 2  # samples a step
    patch: tuple[int, int, int] = (64, 64, 80)  # voxels of the package's spacing: z, y, x
    highest_rate: float = 2e-3  # of AdamW, one cycle
    weight_decay: float = 1e-4
    warm_up: float = 0.1  # share of the steps
    average: float = 0.998  # decay of the running mean of the weights, which is what is shipped
    phantom_share: float = 0.25  # of the samples; the others come from the labelled CT
    phantoms: int = 24  # bodies painted once at the start
    chests: int = 16  # different chests put onto the labelled CT
    held_out: tuple[int, ...] = (9001, 9002, 9003)  # phantoms' seeds, for testing alone
    seed: int = 0
    log_every: int = 50
    save_every: int = 250


# ---- data --------------------------------------------------------------------------------------
def bodies(data: Path, knobs: Knobs) -> tuple[list[Anatomy], list[Anatomy]]:
    """The labelled CT with its chests, and the phantoms."""
    names = json.loads((data / "labels_all.json").read_text(encoding="utf-8"))
    real = labelled_ct(data, {int(value): name for value, name in names.items()})
    rng = np.random.default_rng(knobs.seed)
    chests = [with_chest(real, rng) for _ in range(knobs.chests)]
    return chests, [phantom(seed) for seed in range(knobs.phantoms)]


def batch_of(
    real: list[Anatomy], phantoms: list[Anatomy], sampler: Sampler, knobs: Knobs, step: int
) -> tuple[Tensor, Tensor]:
    """The samples of one step, the same whenever the step is run: images and truth."""
    rng = np.random.default_rng([knobs.seed, step])
    drawn = []
    for _ in range(knobs.batch):
        among = phantoms if rng.random() < knobs.phantom_share else real
        drawn.append(sampler.draw(among[rng.integers(len(among))], rng))
    images, truths = zip(*drawn, strict=True)
    return torch.stack(images), torch.stack(truths)  # (B, 1, Z, Y, X) each


# ---- test --------------------------------------------------------------------------------------
def held_out_dice(network: nn.Module, spec: ModelSpec, seeds: tuple[int, ...]) -> list[float]:
    """Dice on whole phantoms never trained on, on the network's grid."""
    found = []
    for seed in seeds:
        made = abdomen(seed, spacing_mm=(4, 4, 4), shape=(76, 84, 96))
        image = prepare(made.volume, spec).tensor
        truth = prepare(made.mask.volume, replace(spec, hu_window=(0.0, 1.0))).tensor[0, 0] > 0.5
        with torch.inference_mode():
            got = infer(network, image, spec)[0].argmax(dim=0) == 1
        found.append(float(2 * (got & truth).sum() / (got.sum() + truth.sum())))
    return found


# ---- loop --------------------------------------------------------------------------------------
def train(data: Path, out: Path, knobs: Knobs, device: str = "cpu") -> None:
    """Train, leaving `checkpoint.pt` (to resume) and `average.pt` (the weights) in `out`."""
    torch.manual_seed(knobs.seed)
    spec = ModelSpec.load(PACKAGE)
    real, phantoms = bodies(data, knobs)
    sampler = Sampler(knobs.patch, spec.spacing_mm[0], spec.hu_window)
    run = Run.new(spec, knobs, device)
    first = run.resume(out / "checkpoint.pt")
    losses: list[float] = []
    begun = time.perf_counter()
    for step in range(first, knobs.steps):
        images, truths = batch_of(real, phantoms, sampler, knobs, step)  # (B, 1, Z, Y, X)
        losses.append(run.step(images.to(device), truths.to(device)))
        done = step + 1
        if done % knobs.log_every == 0:
            mean_loss = round(float(np.mean(losses[-200:])), 4)
            pace = round((time.perf_counter() - begun) / (done - first), 3)
            log.info("training.step", step=done, loss=mean_loss, seconds_per_step=pace)
        if done % knobs.save_every == 0 or done == knobs.steps:
            run.save(out, done)
            dice = held_out_dice(run.average, spec, knobs.held_out)
            log.info("training.held_out", step=done, dice=[round(d, 3) for d in dice])


@dataclass(frozen=True)
class Run:
    """What changes while training; `average` is the running mean of `network`."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    loss: nn.Module
    decay: float

    @classmethod
    def new(cls, spec: ModelSpec, knobs: Knobs, device: str) -> Self:
        """An untrained one."""
        network = build(spec.network, classes=len(spec.labels) + 1).to(device)
        rate = knobs.highest_rate
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=knobs.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, knobs.steps, pct_start=knobs.warm_up
        )
        loss = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
        average = deepcopy(network).eval()
        return cls(network, average, optimiser, schedule, loss, knobs.average)

    def step(self, images: Tensor, truths: Tensor) -> float:
        """Learn from images and truths (B, 1, Z, Y, X); the loss."""
        # Channels last and bfloat16 take 0.6 of the time on a CPU that has instructions for them.
        images = images.to(memory_format=torch.channels_last_3d)
        with torch.autocast(images.device.type, torch.bfloat16):
            scores = self.network(images)  # (B, classes, Z, Y, X)
        loss: Tensor = self.loss(scores.float(), truths)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - self.decay)
        return loss.item()

    def resume(self, checkpoint: Path) -> int:
        """Load where training was left; the number of steps done."""
        if not checkpoint.exists():
            return 0
        saved = torch.load(checkpoint, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        return int(saved["step"])

    def save(self, out: Path, step: int) -> None:
        """Write both files, each whole or not at all."""
        out.mkdir(parents=True, exist_ok=True)
        average = self.average.state_dict()
        checkpoint = {
            "step": step,
            "network": self.network.state_dict(),
            "average": average,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        for name, content in (("checkpoint.pt", checkpoint), ("average.pt", average)):
            temporary = out / (name + ".new")
            torch.save(content, temporary)
            temporary.replace(out / name)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the starter model liver-ct.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled CT")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--steps", type=int, default=Knobs.steps)
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.data, options.out, Knobs(steps=options.steps), options.device)


if __name__ == "__main__":
    main()
