"""A package on labelled cases: scores by case and label, and their summary."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import highdicom as hd
import numpy as np

from models.data import LabelledVolume
from models.evaluation.metrics import TOLERANCE_MM, Scores, compare
from models.mask import Mask
from models.spec import ModelSpec

# Summarised over cases.
METRICS = ("dice", "surface_dice", "hd95_mm", "volume_error", "accuracy")


class Segments(Protocol):
    """What finds organs in a volume: `models.predict.Predictor`."""

    @property
    def spec(self) -> ModelSpec:
        """The model's package."""
        ...

    def predict(self, volume: hd.Volume) -> Mask:
        """The mask on the volume's grid."""
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
class Evaluation:
    """Scores of a package; `failures` says of each case that could not be scored why."""

    model_id: str
    version: str
    tolerance_mm: float
    cases: tuple[CaseScores, ...]
    failures: dict[str, str]

    def summary(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """By label and metric: mean, median, worst, and in how many cases it was measured."""
        result: dict[str, dict[str, dict[str, float | int | None]]] = {}
        for label in dict.fromkeys(own.label for case in self.cases for own in case.labels):
            mine = [s.scores for case in self.cases for s in case.labels if s.label == label]
            result[label] = {name: _summary(name, mine) for name in METRICS}
        return result

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, for machines: model, cases, summary, failures."""
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
            "failures": self.failures,
        }


def evaluate(
    model: Segments,
    cases: Iterable[LabelledVolume],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    picture: Callable[[LabelledVolume, Mask], bytes] | None = None,
    failures: dict[str, str] | None = None,
    after_each: Callable[[CaseScores], None] | None = None,
) -> Evaluation:
    """Segment every case as the node would, and score it.

    Cases are asked for one at a time and let go of, so that many fit into memory.
    """
    done = []
    for case in cases:
        found = model.predict(case.volume)
        spacing = case.volume.spacing
        scored = CaseScores(
            case.name,
            tuple(
                LabelScores(
                    label.name,
                    compare(
                        found.of(label),
                        case.truth.of(label),
                        (spacing[0], spacing[1], spacing[2]),
                        tolerance_mm,
                    ),
                )
                for label in model.spec.labels
            ),
            b"" if picture is None else picture(case, found),
        )
        done.append(scored)
        if after_each is not None:
            after_each(scored)
    spec = model.spec
    return Evaluation(spec.model_id, spec.version, tolerance_mm, tuple(done), failures or {})


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
