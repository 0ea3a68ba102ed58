"""The shipped models, on phantoms that were not in their training data."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from highdicom import Volume

from models.inference.predictor import Predictor, Progress
from models.installed_packages import find
from models.manifest import ModelSpec
from models.mask import Mask
from models.phantom import Phantom, head, labelled_scan, lung_apex, pelvis
from models.training.validation import dice
from node.domain.errors import Rejected, RejectionReason
from node.pipeline import segment_volume

_SEEDS = range(400, 400 + int(os.environ.get("SEGNODE_MODEL_SCANS", "8")))
_MAX_MB = 40


@dataclass
class Recorded:
    """A model whose masks are kept."""

    predictor: Predictor
    masks: list[Mask] = field(default_factory=list)

    @property
    def spec(self) -> ModelSpec:
        return self.predictor.spec

    def predict(self, volume: Volume, progress: Progress | None = None) -> Mask:
        self.masks.append(self.predictor.predict(volume, progress))
        return self.masks[-1]


@pytest.fixture(scope="module")
def liver_ct() -> Predictor:
    return Predictor.load(find("liver-ct"), "cpu")


@pytest.mark.parametrize("name", ["liver-ct", "organs-ct"])
def test_weights_are_small(name: str) -> None:
    assert find(name).weights.stat().st_size < _MAX_MB * 1_000_000


def test_livers_of_random_scans_are_found(liver_ct: Predictor) -> None:
    (liver,) = liver_ct.spec.labels
    scores = []
    for seed in _SEEDS:
        case = labelled_scan(seed, liver_ct.spec.labels)
        scores.append(dice(liver_ct.predict(case.volume), case.truth, liver) or 0.0)
    # Measured when the model was packaged: 0.962 and 0.943.
    assert np.mean(scores) >= 0.95
    assert min(scores) >= 0.90


@pytest.mark.parametrize("scan", [head, lung_apex, pelvis])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_scan_without_a_liver_gives_an_empty_mask_and_is_refused(
    liver_ct: Predictor, scan: Callable[[int], Phantom], seed: int
) -> None:
    recorded = Recorded(liver_ct)
    with pytest.raises(Rejected, match="No liver was found") as caught:
        segment_volume(scan(seed).volume, recorded)
    assert caught.value.reason is RejectionReason.REGION_NOT_COVERED
    (mask,) = recorded.masks
    assert not mask.volume.array.any()


def test_nine_organs_are_found() -> None:
    organs_ct = Predictor.load(find("organs-ct"), "cpu")
    scores: dict[str, list[float]] = {label.name: [] for label in organs_ct.spec.labels}
    for seed in _SEEDS[:3]:
        case = labelled_scan(seed, organs_ct.spec.labels)
        found = organs_ct.predict(case.volume)
        for label in organs_ct.spec.labels:
            scores[label.name].append(dice(found, case.truth, label) or 0.0)
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    assert means["Liver"] > 0.9
    for name in ("Spleen", "Right kidney", "Left kidney", "Stomach", "Aorta"):
        assert means[name] > 0.7, means
