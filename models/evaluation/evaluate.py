"""A package on labelled cases: scores by case and label, and their summary.

`Evaluation.to_json()` has these keys; what was not measured is null:

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

# Summarised over cases.
METRICS = ("dice", "surface_dice", "hd95_mm", "volume_error", "accuracy")


class Refused(ModelsError):
    """There is no mask for this volume; the message is the reason, in plain words."""


class Segments(Protocol):
    """What finds organs in a volume: `Predictor`, or the node with its refusals."""

    @property
    def spec(self) -> ModelSpec:
        """The model's package."""
        ...

    def predict(self, volume: hd.Volume) -> Mask:
        """The mask on the volume's grid; raises `Refused` where there is to be none."""
        ...


@dataclass(frozen=True)
class LabelScores:
    """One label in one case."""

    label: str
    scores: Scores


@dataclass(frozen=True)
class CaseScores:
    """One case; `picture_png` shows truth and mask."""

    name: str
    labels: tuple[LabelScores, ...]
    picture_png: bytes = field(default=b"", repr=False)

    @property
    def dice(self) -> float:
        """Mean over the labels that were measured, by which cases are ranked; 1 where none was."""
        measured = [s.scores.dice for s in self.labels if s.scores.dice is not None]
        return float(np.mean(measured)) if measured else 1.0


@dataclass(frozen=True)
class Refusal:
    """A case that gets no result; `truth_ml` by label tells whether that is right."""

    reason: str
    truth_ml: dict[str, float]

    def __str__(self) -> str:
        there = ", ".join(f"{label} {ml:.0f} mL" for label, ml in self.truth_ml.items())
        return f"{self.reason} In the truth: {there}."


@dataclass(frozen=True)
class Evaluation:
    """Scores of a package; `refused` are cases that the node would refuse, `failures` says of each
    case that could not be read why."""

    model_id: str
    version: str
    labels: tuple[Label, ...]
    tolerance_mm: float
    cases: tuple[CaseScores, ...]
    refused: dict[str, Refusal]
    failures: dict[str, str]

    def summary(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """By label and metric: mean, median, worst, and in how many cases it was measured."""
        result: dict[str, dict[str, dict[str, float | int | None]]] = {}
        for label in dict.fromkeys(own.label for case in self.cases for own in case.labels):
            mine = [s.scores for case in self.cases for s in case.labels if s.label == label]
            result[label] = {name: _summary(name, mine) for name in METRICS}
        return result

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, for machines; see the top of this file."""
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
    model: Segments,
    cases: Iterable[LabelledVolume],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    picture: Callable[[LabelledVolume, Mask], bytes] | None = None,
    failures: dict[str, str] | None = None,
    after_each: Callable[[], None] | None = None,
) -> Evaluation:
    """Segment every case as the node would, and score it on the labels that its truth knows.

    Cases are asked for one at a time and let go of, so that many fit into memory.
    """
    done: list[CaseScores] = []
    refused: dict[str, Refusal] = {}
    for case in cases:
        try:
            done.append(_scored(model, case, tolerance_mm, picture))
        except Refused as reason:
            there = measure(case.volume, case.truth)
            truth_ml = {name: one.volume_ml for name, one in there.items()}
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
    model: Segments,
    case: LabelledVolume,
    tolerance_mm: float,
    picture: Callable[[LabelledVolume, Mask], bytes] | None,
) -> CaseScores:
    """One case; raises Refused."""
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
