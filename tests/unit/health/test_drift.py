"""Results of the last week are compared with the weeks before: real changes count, chance not."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest

from node.health.drift import (
    MIN_RECENT_CASES,
    MIN_REFERENCE_CASES,
    drift_problems,
    refusal_rate_differs,
    relative_change,
)
from node.store.monitoring.activity import FinishedJob
from tests.support.factories import NOON

RANDOM = np.random.default_rng(7)
RECENT, EARLIER = NOON - timedelta(days=2), NOON - timedelta(days=15)


def volumes(median_ml: float, count: int) -> list[float]:
    """Liver volumes, spread as in patients."""
    return list(RANDOM.lognormal(np.log(median_ml), 0.25, count))


def jobs(
    ended_at: datetime,
    volumes_ml: Sequence[float],
    *,
    run_s: float = 20.0,
    refused: int = 0,
    model: str = "liver-ct 1.0",
) -> list[FinishedJob]:
    """Delivered jobs with these volumes, and refused ones."""
    times_s = RANDOM.normal(run_s, 2.0, len(volumes_ml))
    delivered = [
        FinishedJob(model, False, ended_at, float(time_s), {"Liver": volume_ml})
        for time_s, volume_ml in zip(times_s, volumes_ml, strict=True)
    ]
    return delivered + [FinishedJob(model, True, ended_at, None, {})] * refused


def test_stable_results_are_no_problem() -> None:
    stable = jobs(RECENT, volumes(1500, 150), refused=8)
    before = jobs(EARLIER, volumes(1500, 600), refused=30)
    assert drift_problems(stable + before, NOON) == []


def test_a_changed_median_volume_is_a_problem_with_both_values() -> None:
    found = drift_problems(
        jobs(RECENT, volumes(1100, 150)) + jobs(EARLIER, volumes(1500, 600)), NOON
    )
    (problem,) = found
    assert problem.subject == "liver-ct 1.0, volume of Liver"
    assert "mL, before 1,5" in problem.text or "mL, before 1,4" in problem.text


def test_a_few_extreme_volumes_do_not_count() -> None:
    extreme = volumes(1500, 100) + [9000.0] * 10
    assert drift_problems(jobs(RECENT, extreme) + jobs(EARLIER, volumes(1500, 600)), NOON) == []


def test_too_few_cases_on_either_side_are_not_compared() -> None:
    few, many = volumes(700, MIN_RECENT_CASES - 1), volumes(1500, 600)
    assert drift_problems(jobs(RECENT, few) + jobs(EARLIER, many), NOON) == []
    many, few = volumes(700, 200), volumes(1500, MIN_REFERENCE_CASES - 1)
    assert drift_problems(jobs(RECENT, many) + jobs(EARLIER, few), NOON) == []


def test_a_new_version_of_a_model_is_not_compared_with_the_old_one() -> None:
    new = jobs(RECENT, volumes(700, 150), model="liver-ct 2.0")
    assert drift_problems(new + jobs(EARLIER, volumes(1500, 600)), NOON) == []


def test_jobs_older_than_five_weeks_do_not_count() -> None:
    old = jobs(NOON - timedelta(days=36), volumes(1500, 600))
    assert drift_problems(jobs(RECENT, volumes(700, 150)) + old, NOON) == []


def test_slower_runs_are_a_problem_and_faster_ones_are_not() -> None:
    before = jobs(EARLIER, volumes(1500, 600))
    (problem,) = drift_problems(jobs(RECENT, volumes(1500, 150), run_s=40.0) + before, NOON)
    assert problem.subject == "liver-ct 1.0, run time"
    assert drift_problems(jobs(RECENT, volumes(1500, 150), run_s=8.0) + before, NOON) == []


def test_more_refusals_are_a_problem() -> None:
    before = jobs(EARLIER, volumes(1500, 600), refused=30)
    (problem,) = drift_problems(jobs(RECENT, volumes(1500, 100), refused=50) + before, NOON)
    assert problem.subject == "liver-ct 1.0, refusals"
    assert "33%, before 5%" in problem.text


@pytest.mark.parametrize(
    ("recent", "earlier", "differs"),
    [
        ([False] * 20, [False] * 60, False),
        ([True] * 20, [True] * 60, False),
        ([True] * 20, [False] * 60, True),
        ([True] * 2 + [False] * 18, [True] * 2 + [False] * 58, False),  # 10 % and 3 %: chance
        ([True] * 90 + [False] * 910, [True] * 10 + [False] * 990, False),  # 8 points: too small
    ],
)
def test_the_shares_of_refusals_differ_beyond_chance(
    recent: list[bool], earlier: list[bool], differs: bool
) -> None:
    assert refusal_rate_differs(recent, earlier) is differs


def test_chance_alone_rarely_exceeds_the_limit() -> None:
    alarms = sum(
        relative_change(volumes(1500, 30), volumes(1500, 120)) is not None for _ in range(400)
    )
    assert alarms <= 8


def test_values_without_any_spread_are_compared() -> None:
    assert relative_change([2.0] * 20, [1.0] * 60) == 1.0
    assert relative_change([1.0] * 20, [1.0] * 60) is None
