"""How good the weights are by now: full-volume Dice, by the inference that the node runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from models.data import LabelledVolume
from models.manifest import Label, ModelSpec
from models.mask import Mask
from models.phantom import Organ, Phantom, abdomen
from models.predictor import Predictor
from models.training.config import TrainConfig


@dataclass(frozen=True)
class Scores:
    """Dice by case and label; None where neither the truth nor the mask has the label."""

    dice: Mapping[str, Mapping[str, float | None]]

    @property
    def mean(self) -> float:
        """Over all that was measured; 0 where nothing was."""
        measured = [d for case in self.dice.values() for d in case.values() if d is not None]
        return float(np.mean(measured)) if measured else 0.0

    @property
    def by_label(self) -> dict[str, float]:
        """The mean of each label that was measured in any case."""
        measured: dict[str, list[float]] = {}
        for case in self.dice.values():
            for label, value in case.items():
                if value is not None:
                    measured.setdefault(label, []).append(value)
        return {label: float(np.mean(values)) for label, values in measured.items()}


def validate(network: nn.Module, spec: ModelSpec, cases: Sequence[LabelledVolume]) -> Scores:
    """Dice of every label in every case. The network is left in the mode it was in."""
    device = next(network.parameters()).device
    was_training = network.training
    predictor = Predictor(spec, device, network.eval())
    scores = {}
    for case in cases:
        found = predictor.predict(case.volume)
        scores[case.name] = {label.name: dice(found, case.truth, label) for label in spec.labels}
    network.train(was_training)
    return Scores(scores)


def dice(found: Mask, truth: Mask, label: Label) -> float | None:
    """2 |A ∩ B| / (|A| + |B|) of one label; None where both are empty."""
    a, b = found.of(label), truth.of(label)
    total = int(a.sum()) + int(b.sum())
    return None if total == 0 else 2 * int((a & b).sum()) / total


def phantom_cases(config: TrainConfig) -> list[LabelledVolume]:
    """The phantoms that the configuration sets aside, 4 mm voxels."""
    if config.bodies is None:
        return []
    organs = [Organ[name.upper()] for name in config.bodies.organs]
    cases = []
    for seed in config.validation.phantoms:
        made = abdomen(seed, spacing_mm=(4, 4, 4), shape=(76, 84, 96))
        cases.append(LabelledVolume(f"phantom {seed}", made.volume, truth_of(made, organs, config)))
    return cases


def truth_of(made: Phantom, organs: Sequence[Organ], config: TrainConfig) -> Mask:
    """The organs of a phantom, numbered as the configuration's labels."""
    table = np.zeros(len(Organ), dtype=np.uint8)
    for k, organ in enumerate(organs, start=1):
        table[organ] = k
    return Mask(made.organs.with_array(table[made.organs.array]), config.organ_labels())


def spec_of(config: TrainConfig) -> ModelSpec:
    """The model in training, as a package without weights."""
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
