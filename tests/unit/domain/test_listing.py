"""Under which states a series is listed."""

import pytest

from node.domain.job import JobState
from node.domain.listing.listed_states import ListedJob, ListedState, listed_states
from node.domain.series import SeriesPart, SeriesState
from tests.support.factories import part_of_two

A, B = "liver-ct", "organs-ct"


def job(
    state: JobState,
    model_id: str = A,
    part: SeriesPart | None = None,
    *,
    gives_up_delivery: bool = False,
    is_refusal: bool = False,
) -> ListedJob:
    return ListedJob(model_id, "1.0", "0" * 64, part, state, gives_up_delivery, is_refusal)


@pytest.mark.parametrize(
    ("series", "jobs", "states"),
    [
        ("receiving", [], {"receiving"}),
        ("ignored", [], {"ignored"}),
        ("accepted", [], {"working"}),
        ("accepted", [job(JobState.QUEUED)], {"working"}),
        ("accepted", [job(JobState.DELIVERED)], {"delivered"}),
        ("accepted", [job(JobState.DISCARDED)], {"discarded"}),
        ("accepted", [job(JobState.SUPERSEDED)], {"superseded"}),
        ("accepted", [job(JobState.REFUSED), job(JobState.DELIVERED)], {"refused"}),
        ("receiving", [job(JobState.DELIVERED)], {"receiving"}),
        ("receiving", [job(JobState.PARKED)], {"receiving", "attention"}),
    ],
)
def test_a_series_is_listed_under_its_state_and_that_of_its_newest_job(
    series: str, jobs: list[ListedJob], states: set[str]
) -> None:
    assert listed_states(SeriesState(series), jobs) == states


@pytest.mark.parametrize(
    ("notice", "states"),
    [
        (job(JobState.DELIVERING, is_refusal=True), {"refused"}),
        (
            job(JobState.DELIVERING, is_refusal=True, gives_up_delivery=True),
            {"refused", "attention"},
        ),
        (job(JobState.PARKED, is_refusal=True), {"refused", "attention"}),
        (job(JobState.QUEUED, is_refusal=True), {"working"}),  # runs again
    ],
)
def test_a_refused_series_is_refused_while_its_notice_is_on_its_way(
    notice: ListedJob, states: set[str]
) -> None:
    assert listed_states(SeriesState.ACCEPTED, [notice]) == states


def test_each_model_and_each_part_counts() -> None:
    parts = [job(JobState.DELIVERED, A, part_of_two(1)), job(JobState.REFUSED, A, part_of_two(2))]
    jobs = [*parts, job(JobState.RUNNING, B)]
    assert listed_states(SeriesState.ACCEPTED, jobs) == {"delivered", "refused", "working"}


def test_an_earlier_job_counts_as_long_as_it_waits_for_a_person() -> None:
    jobs = [job(JobState.DELIVERED), job(JobState.PARKED)]
    assert listed_states(SeriesState.ACCEPTED, jobs) == {"delivered", "attention"}


def test_a_delivery_that_is_given_up_needs_attention_while_others_wait() -> None:
    waiting = job(JobState.DELIVERING, gives_up_delivery=True)
    assert listed_states(SeriesState.ACCEPTED, [waiting]) == {"working", "attention"}
    ended = job(JobState.DISCARDED, gives_up_delivery=True)
    assert listed_states(SeriesState.ACCEPTED, [ended]) == {ListedState.DISCARDED}
