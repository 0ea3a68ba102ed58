"""The identity of a job and its allowed state transitions."""

import pytest

from node.domain.job import JobState, can_transition, is_final, job_id
from node.domain.retry_policy import retry_delay_s
from node.domain.series import series_digest

FINAL = {JobState.DELIVERED, JobState.REFUSED, JobState.SUPERSEDED, JobState.DISCARDED}


def test_the_same_series_model_and_version_are_one_job() -> None:
    digest = series_digest(["1.2", "1.3"])
    assert digest == series_digest(["1.3", "1.2"])
    job = job_id(digest, "liver-ct", "1.0")
    assert job == job_id(digest, "liver-ct", "1.0")
    others = {
        job_id(series_digest(["1.2", "1.3", "1.4"]), "liver-ct", "1.0"),
        job_id(digest, "liver-ct", "1.1"),
        job_id(digest, "spleen-ct", "1.0"),
    }
    assert job not in others
    assert len(others) == 3


@pytest.mark.parametrize("state", list(JobState))
def test_a_state_is_final_when_no_state_can_follow_it(state: JobState) -> None:
    assert is_final(state) == (state in FINAL)
    assert any(can_transition(state, then) for then in JobState) == (state not in FINAL)


def test_a_parked_job_can_only_be_queued_again_or_delivered_or_discarded() -> None:
    following = {then for then in JobState if can_transition(JobState.PARKED, then)}
    assert following == {JobState.QUEUED, JobState.DELIVERING, JobState.DISCARDED}


def test_the_delay_between_attempts_doubles_up_to_the_maximum() -> None:
    waits = [retry_delay_s(n, first_s=5, max_s=60, jitter=0.999) for n in range(1, 7)]
    assert waits == sorted(waits)
    assert max(waits) <= 60
    assert retry_delay_s(10_000, first_s=5, max_s=60, jitter=0) == 30
