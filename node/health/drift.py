"""Compares the results of the last week with the weeks before: volumes, refusals and run times.

The statistics are robust: a few extreme cases do not move a median. A change counts only if it
is both too large for chance and large enough to matter, and only with enough cases on both sides.
A new version of a model starts without earlier weeks.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt
from statistics import median

from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.texts.numbers import distinct
from node.store.monitoring.activity import FinishedJob

RECENT = timedelta(days=7)
REFERENCE = timedelta(days=28)
MIN_RECENT_CASES = 20
MIN_REFERENCE_CASES = 60
# Three standard errors: a false alarm in 400 comparisons of stable results.
_MIN_STANDARD_ERRORS = 3.0
# The standard error of a median of n normal values is this many standard deviations / sqrt(n).
_MEDIAN_ERROR = 1.2533
# The standard deviation of normal values is this many median absolute deviations.
_DEVIATIONS_PER_MAD = 1.4826
# Below these changes nobody would act.
_MIN_VOLUME_CHANGE = 0.10
_MIN_RUN_TIME_RISE = 0.50
_MIN_REFUSAL_CHANGE = 0.10


@dataclass
class _Period:
    """The values of one model in one period; times in s, volumes in mL by organ."""

    refusals: list[bool] = field(default_factory=list)
    run_s: list[float] = field(default_factory=list)
    volumes_ml: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, job: FinishedJob) -> None:
        """Adds one job; a refused one has no volumes."""
        self.refusals.append(job.is_refused)
        if job.run_s is not None:
            self.run_s.append(job.run_s)
        for organ, volume_ml in job.volumes_ml.items():
            self.volumes_ml[organ].append(volume_ml)


def drift_problems(jobs: Sequence[FinishedJob], now: datetime) -> list[Problem]:
    """Returns a problem for each measure of a model that has changed.

    `jobs` covers `RECENT` and `REFERENCE` before `now`.
    """
    recent: Mapping[str, _Period] = defaultdict(_Period)
    earlier: Mapping[str, _Period] = defaultdict(_Period)
    for job in jobs:
        age = now - job.ended_at
        if age <= RECENT:
            recent[job.model].add(job)
        elif age <= RECENT + REFERENCE:
            earlier[job.model].add(job)
    return [
        problem
        for model in sorted(recent)
        for problem in _changes(model, recent[model], earlier[model])
    ]


def _changes(model: str, recent: _Period, earlier: _Period) -> Iterator[Problem]:
    for organ in sorted(recent.volumes_ml):
        now_ml, before_ml = recent.volumes_ml[organ], earlier.volumes_ml.get(organ, [])
        change = relative_change(now_ml, before_ml)
        if change is not None and abs(change) >= _MIN_VOLUME_CHANGE:
            values = "{} mL, before {} mL".format(*distinct(median(now_ml), median(before_ml)))
            yield _problem(model, f"volume of {organ}", f"the median volume of {organ}", values)
    rise = relative_change(recent.run_s, earlier.run_s)
    if rise is not None and rise >= _MIN_RUN_TIME_RISE:
        times = distinct(median(recent.run_s), median(earlier.run_s), 1)
        values = "{} s, before {} s".format(*times)
        yield _problem(model, "run time", "the median run time", values)
    if refusal_rate_differs(recent.refusals, earlier.refusals):
        rates = [sum(each) / len(each) for each in (recent.refusals, earlier.refusals)]
        values = f"{rates[0]:.0%}, before {rates[1]:.0%}"
        yield _problem(model, "refusals", "the share of refused series", values)


def relative_change(recent: Sequence[float], earlier: Sequence[float]) -> float | None:
    """Returns the change of the median, relative to the earlier one.

    Returns None if there are too few cases or if the change is within three standard errors.
    """
    if len(recent) < MIN_RECENT_CASES or len(earlier) < MIN_REFERENCE_CASES:
        return None
    now, before = median(recent), median(earlier)
    error = sqrt(_squared_error(recent) + _squared_error(earlier))
    if before <= 0 or abs(now - before) <= _MIN_STANDARD_ERRORS * error:
        return None
    return now / before - 1


def _squared_error(values: Sequence[float]) -> float:
    """Returns the squared standard error of the median, by the median absolute deviation."""
    middle = median(values)
    spread = _DEVIATIONS_PER_MAD * median(abs(value - middle) for value in values)
    return float(_MEDIAN_ERROR * spread) ** 2 / len(values)


def refusal_rate_differs(recent: Sequence[bool], earlier: Sequence[bool]) -> bool:
    """Whether the shares of refused series differ (two-proportion z-test, pooled variance)."""
    if len(recent) < MIN_RECENT_CASES or len(earlier) < MIN_REFERENCE_CASES:
        return False
    difference = abs(sum(recent) / len(recent) - sum(earlier) / len(earlier))
    pooled = (sum(recent) + sum(earlier)) / (len(recent) + len(earlier))
    error = sqrt(pooled * (1 - pooled) * (1 / len(recent) + 1 / len(earlier)))
    return difference >= _MIN_REFUSAL_CHANGE and difference > _MIN_STANDARD_ERRORS * error


def _problem(model: str, measure: str, name: str, values: str) -> Problem:
    return Problem(
        kind=ProblemKind.RESULTS_DRIFTING,
        subject=f"{model}, {measure}"[:200],
        urgency=Urgency.NOTICE,
        text=f"With {model}, {name} of the last 7 days differs from the 4 weeks before: {values}.",
        remedy=(
            "Check whether a scanner, a protocol or the rules changed; look at some results."
            if measure != "run time"
            else "Check the load of the machine and whether the model still runs on its GPU."
        ),
    )
