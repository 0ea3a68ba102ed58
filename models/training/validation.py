"""Scores the weights during a training: full-volume Dice, by the inference that the node runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from models.data import LabelledVolume
from models.inference.predictor import Predictor
from models.manifest import Label, ModelSpec
from models.mask import Mask
from models.phantom import Organ, Phantom, abdomen
from models.training.config import TrainConfig


@dataclass(frozen=True)
class DiceScores:
    """Dice by case and label; None where neither ground truth nor mask has the label."""

    dice: Mapping[str, Mapping[str, float | None]]

    @property
    def mean(self) -> float:
        """The mean of all measured values; 0 if there is none."""
        measured = [d for case in self.dice.values() for d in case.values() if d is not None]
        return float(np.mean(measured)) if measured else 0.0

    @property
    def by_label(self) -> dict[str, float]:
        """The mean over the cases of each label that any case has."""
        measured: dict[str, list[float]] = {}
        for case in self.dice.values():
            for label, value in case.items():
                if value is not None:
                    measured.setdefault(label, []).append(value)
        return {label: float(np.mean(values)) for label, values in measured.items()}


def validate(network: nn.Module, spec: ModelSpec, cases: Sequence[LabelledVolume]) -> DiceScores:
    """Returns the Dice of every label in every case; leaves the network's mode unchanged."""
    device = next(network.parameters()).device
    was_training = network.training
    predictor = Predictor(spec, device, network.eval())
    scores = {}
    for case in cases:
        mask = predictor.predict(case.volume)
        scores[case.name] = {label.name: dice(mask, case.truth, label) for label in spec.labels}
    network.train(was_training)
    return DiceScores(scores)


def dice(mask: Mask, ground_truth: Mask, label: Label) -> float | None:
    """Returns 2 |A ∩ B| / (|A| + |B|) of one label; None if both are empty."""
    a, b = mask.of(label), ground_truth.of(label)  # (slice, row, column) each
    total = int(a.sum()) + int(b.sum())
    return None if total == 0 else 2 * int((a & b).sum()) / total


def phantom_cases(config: TrainConfig) -> list[LabelledVolume]:
    """Paints the phantoms that the configuration holds out, in voxels of 4 mm."""
    if config.bodies is None:
        return []
    organs = [Organ[name.upper()] for name in config.bodies.organs]
    cases = []
    for seed in config.validation.phantoms:
        phantom = abdomen(seed, spacing_mm=(4, 4, 4), shape=(76, 84, 96))
        ground_truth = phantom_ground_truth(phantom, organs, config)
        cases.append(LabelledVolume(f"phantom {seed}", phantom.volume, ground_truth))
    return cases


def phantom_ground_truth(phantom: Phantom, organs: Sequence[Organ], config: TrainConfig) -> Mask:
    """Returns the organs of a phantom, numbered as the configuration's labels."""
    table = np.zeros(len(Organ), dtype=np.uint8)
    for k, organ in enumerate(organs, start=1):
        table[organ] = k
    return Mask(phantom.organs.with_array(table[phantom.organs.array]), config.organ_labels())


def training_spec(config: TrainConfig) -> ModelSpec:
    """Describes the model in training as a package without weights."""
    return ModelSpec(
        model_id="in-training",
        version="0",
        title="in training",
        manufacturer="segnode",
        intended_use="training",
        network=config.network_spec(),
        labels=config.organ_labels(),
        spacing_mm=config.grid.spacing_mm,
        hu_window=config.grid.hu_window,
        patch=config.validation.patch,
        overlap=config.validation.overlap,
        keep_largest=config.keep_largest,
        min_slices=1,
        min_extent_mm=0.0,
        weights=Path(),
        weights_sha256="",
    )
