"""Scores a package on labelled cases, by case and label, and summarises the scores.

`Evaluation.to_json()` has these keys; a value that was not measured is null:

    model           {id, version}
    tolerance_mm    of the surface Dice
    cases           list of {name, labels: by label {dice, surface_dice, hd95_mm, volume_error,
                    accuracy, truth_ml, found_ml}}; see `models.evaluation.metrics.Scores`
    summary         by label, by figure: {mean, median, worst, measured}
    refused         by case {reason, truth_ml: by label}: what the node would not segment
    failures        by case, why it could not be read
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import highdicom as hd
import numpy as np

from models.data import LabelledVolume
from models.errors import ModelsError
from models.evaluation.metrics import TOLERANCE_MM, Scores, compare
from models.manifest import Label, ModelSpec
from models.mask import Mask
from models.measurement import measure

# The scores that are summarised over cases.
METRICS = ("dice", "surface_dice", "hd95_mm", "volume_error", "accuracy")


class Refused(ModelsError):
    """The model refuses this volume; the message is the reason, in plain words."""


class CaseSegmenter(Protocol):
    """Segments a volume: `Predictor`, or the node with its refusals."""

    @property
    def spec(self) -> ModelSpec:
        """The model's package."""
        ...

    def predict(self, volume: hd.Volume) -> Mask:
        """Returns a mask on the volume's grid; raises `Refused` if the volume is not suitable."""
        ...


@dataclass(frozen=True)
class LabelScores:
    """The scores of one label in one case."""

    label: str
    scores: Scores


@dataclass(frozen=True)
class CaseScores:
    """The scores of one case; `picture_png` shows ground truth and prediction."""

    name: str
    labels: tuple[LabelScores, ...]
    picture_png: bytes = field(default=b"", repr=False)

    @property
    def dice(self) -> float:
        """Mean over the measured labels, by which cases are ranked; 1 if none was measured."""
        measured = [s.scores.dice for s in self.labels if s.scores.dice is not None]
        return float(np.mean(measured)) if measured else 1.0


@dataclass(frozen=True)
class Refusal:
    """A refused case; `truth_ml`, by label, shows whether the refusal is right."""

    reason: str
    truth_ml: dict[str, float]

    def __str__(self) -> str:
        volumes = ", ".join(f"{label} {ml:.0f} mL" for label, ml in self.truth_ml.items())
        return f"{self.reason} In the ground truth: {volumes}."


@dataclass(frozen=True)
class Evaluation:
    """Scores of a package. `refused` has the cases that the node refuses, `failures` the reason for
    each case that cannot be read."""

    model_id: str
    version: str
    labels: tuple[Label, ...]
    tolerance_mm: float
    cases: tuple[CaseScores, ...]
    refused: dict[str, Refusal]
    failures: dict[str, str]

    def summary(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """Returns mean, median, worst and the number of measured cases, by label and metric."""
        result: dict[str, dict[str, dict[str, float | int | None]]] = {}
        for label in dict.fromkeys(own.label for case in self.cases for own in case.labels):
            scores = [s.scores for case in self.cases for s in case.labels if s.label == label]
            result[label] = {name: _summary(name, scores) for name in METRICS}
        return result

    def to_json(self) -> dict[str, Any]:
        """Returns everything except the pictures; the module docstring describes the keys."""
        return {
            "model": {"id": self.model_id, "version": self.version},
            "tolerance_mm": self.tolerance_mm,
            "cases": [
                {
                    "name": case.name,
                    "labels": {own.label: asdict(own.scores) for own in case.labels},
                }
                for case in self.cases
            ],
            "summary": self.summary(),
            "refused": {name: asdict(refusal) for name, refusal in self.refused.items()},
            "failures": self.failures,
        }


def evaluate(
    model: CaseSegmenter,
    cases: Iterable[LabelledVolume],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    picture: Callable[[LabelledVolume, Mask], bytes] | None = None,
    failures: dict[str, str] | None = None,
    after_each: Callable[[], None] | None = None,
) -> Evaluation:
    """Segments every case and scores it on the labels of its ground truth.

    Takes cases one at a time and keeps none of them, so that a large data set fits in memory.
    """
    done: list[CaseScores] = []
    refused: dict[str, Refusal] = {}
    for case in cases:
        try:
            done.append(_scored(model, case, tolerance_mm, picture))
        except Refused as reason:
            measurements = measure(case.volume, case.truth)
            truth_ml = {name: one.volume_ml for name, one in measurements.items()}
            refused[case.name] = Refusal(str(reason), truth_ml)
        if after_each is not None:
            after_each()
    spec = model.spec
    return Evaluation(
        spec.model_id,
        spec.version,
        spec.labels,
        tolerance_mm,
        tuple(done),
        refused,
        failures or {},
    )


def _scored(
    model: CaseSegmenter,
    case: LabelledVolume,
    tolerance_mm: float,
    picture: Callable[[LabelledVolume, Mask], bytes] | None,
) -> CaseScores:
    """Scores one case; raises `Refused`."""
    found = model.predict(case.volume)
    z, y, x = case.volume.spacing
    known = {label.name: label for label in case.truth.labels}
    scores = [
        LabelScores(
            label.name,
            compare(found.of(label), case.truth.of(known[label.name]), (z, y, x), tolerance_mm),
        )
        for label in model.spec.labels
        if label.name in known
    ]
    return CaseScores(case.name, tuple(scores), b"" if picture is None else picture(case, found))


def _summary(metric: str, scores: list[Scores]) -> dict[str, float | int | None]:
    measured = [value for s in scores if (value := getattr(s, metric)) is not None]
    if not measured:
        return {"mean": None, "median": None, "worst": None, "measured": 0}
    worst = max(measured, key=abs) if metric in ("hd95_mm", "volume_error") else min(measured)
    return {
        "mean": float(np.mean(measured)),
        "median": float(np.median(measured)),
        "worst": float(worst),
        "measured": len(measured),
    }
