"""Speed of training: `segnode train` beside a plain loop with the same network, in alternation.

The plain loop has all its samples in memory. It does nothing but the steps of an optimiser.
"""

import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from rich.table import Table
from torch import Tensor

from models.networks.registry import build
from models.phantom import abdomen
from models.training.config import TrainConfig
from models.training.config_file import load_config
from models.training.loop import RunOptions, train
from node.offline.convert import to_nifti
from tests.bench.measurements import Measurement

TRAIN, PLAIN = "segnode train", "plain loop"
_CASES = 4
_SAMPLES = 8
# The first steps also build what later ones use again.
_WARM_UP_STEPS = 2
_CONFIG = """
preset = "default"
steps = {steps}
save_every = {steps}

[[cases]]
folder = "cases"

[[labels]]
name = "Liver"
type = ["10200004", "SCT", "Liver"]
display_rgb = [221, 130, 101]
"""


def measure_training(rounds: int, steps: int) -> list[Measurement]:
    """Trains the default network for so many steps, by either program, once in each round."""
    values: dict[str, list[float]] = {TRAIN: [], PLAIN: []}
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as name:
        folder = Path(name)
        _write_cases(folder / "cases")
        file = folder / "train.toml"
        file.write_text(_CONFIG.format(steps=steps + _WARM_UP_STEPS), encoding="utf-8")
        config = load_config(file)
        for number in range(rounds):
            options = RunOptions(folder, folder / f"run{number}", "cpu")
            values[TRAIN].append(_samples_per_second(config, _train(config, options)))
            values[PLAIN].append(_samples_per_second(config, _plain_loop(config)))
    return [
        Measurement(subject, "training", "samples/s", tuple(found), higher_is_better=True)
        for subject, found in values.items()
    ]


def training_table(measurements: list[Measurement]) -> Table:
    """Returns the medians and their ratio."""
    found = {each.subject: each for each in measurements if each.figure == "training"}
    table = Table("Training", "Samples/s", "Spread", "Ratio to the plain loop")
    for subject in (TRAIN, PLAIN):
        one = found[subject]
        ratio = one.median / found[PLAIN].median
        table.add_row(subject, f"{one.median:.2f}", f"{one.spread:.0%}", f"{ratio:.2f}")
    return table


def _write_cases(folder: Path) -> None:
    for seed in range(_CASES):
        phantom = abdomen(seed, shape=(80, 128, 160), spacing_mm=(4.0, 3.0, 3.0))
        to_nifti(phantom.volume, folder / f"body{seed}.nii.gz")
        to_nifti(phantom.mask.volume.astype(np.uint8), folder / f"body{seed}_seg.nii.gz")


def _samples_per_second(config: TrainConfig, ends: list[float]) -> float:
    """Returns the speed of a run whose steps ended at these times."""
    measured = ends[_WARM_UP_STEPS - 1 :]
    return config.batch * (len(measured) - 1) / (measured[-1] - measured[0])


def _train(config: TrainConfig, options: RunOptions) -> list[float]:
    ends: list[float] = []
    train(config, options, lambda _done, _steps, _loss: ends.append(time.perf_counter()))
    return ends


def _plain_loop(config: TrainConfig) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    shape = (config.batch, 1, *config.patch)
    samples = [
        (torch.rand(shape, generator=generator), torch.rand(shape, generator=generator) > 0.9)
        for _ in range(_SAMPLES)
    ]
    network = build(config.network_spec(), config.classes).train()
    optimiser = torch.optim.AdamW(network.parameters(), **config.optimiser.arguments)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
    ends: list[float] = []
    for images, classes in islice(cycle(samples), config.steps):
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = network(images.to(memory_format=torch.channels_last_3d))
        loss: Tensor = loss_of(logits.float(), classes.float())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # untyped in torch
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_gradient or 1.0)
        optimiser.step()
        ends.append(time.perf_counter())
    return ends
