"""Names and identities of the parts of a series, and the job that stands for them."""

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, job_id
from node.domain.job_summary import current_jobs, leading_job
from node.domain.series import SeriesPart
from tests.support.factories import NOON, job_of

PART = SeriesPart("AcquisitionNumber", "2", 2, 3, 24, 24, "digest")


def job(
    number: int | None, state: JobState = JobState.QUEUED, *, digest: str = "a", minutes: int = 0
) -> Job:
    """A job of the part with that number, or of the whole series."""
    part = None if number is None else replace(PART, value=str(number), number=number)
    return replace(
        job_of(Uid("1.2.3"), job_id=f"{digest}{number}"),
        part=part,
        state=state,
        series_digest=digest,
        created_at=NOON + timedelta(minutes=minutes),
    )


@pytest.mark.parametrize(
    ("keyword", "value", "title"),
    [
        ("AcquisitionNumber", "2", "acquisition 2"),
        ("TemporalPositionIndex", "3", "temporal position 3"),
        ("KVP", "80.0", "KVP 80.0"),
        ("ConvolutionKernel", "", "part 2 of 3 by convolution kernel"),
        ("ImageType", "ORIGINAL\\PRIMARY\\AXIAL", "part 2 of 3 by image type"),
    ],
)
def test_a_part_is_named_by_its_attribute(keyword: str, value: str, title: str) -> None:
    assert replace(PART, keyword=keyword, value=value).title == title


def test_a_part_is_read_as_it_was_stored_also_with_later_keys() -> None:
    assert SeriesPart.from_json(asdict(PART) | {"later": 1}) == PART


def test_each_part_has_another_job_id_than_the_series() -> None:
    other = replace(PART, value="3", number=3)
    ids = {job_id("digest", "liver-ct", "1.0", part) for part in (None, PART, other)}
    assert len(ids) == 3
    renumbered = replace(PART, number=1, count=5, slice_count=7)
    assert job_id("digest", "liver-ct", "1.0", renumbered) in ids


def test_the_parts_of_the_newest_version_of_a_series_are_current_in_their_order() -> None:
    whole, earlier = job(None, digest="w"), job(1, digest="b", minutes=1)
    second, first = job(2, minutes=2), job(1, minutes=2)
    other = replace(job(None, digest="o"), model_id="spleen-ct")
    assert current_jobs([second, first, earlier, whole, other]) == (first, second, other)


def test_a_newer_job_of_the_whole_series_replaces_the_parts() -> None:
    whole = job(None, minutes=5)
    assert current_jobs([whole, job(2), job(1)]) == (whole,)
    assert leading_job([whole, job(2, JobState.PARKED)]) == whole


@pytest.mark.parametrize(
    ("states", "leading"),
    [
        ((JobState.DELIVERED, JobState.REFUSED), JobState.REFUSED),
        ((JobState.DELIVERED, JobState.RUNNING), JobState.RUNNING),
        ((JobState.PARKED, JobState.RUNNING), JobState.PARKED),
        ((JobState.DELIVERED, JobState.DELIVERED), JobState.DELIVERED),
    ],
)
def test_the_most_urgent_part_stands_for_the_series(
    states: tuple[JobState, JobState], leading: JobState
) -> None:
    jobs = [job(number, state) for number, state in enumerate(states, start=1)]
    found = leading_job(jobs)
    assert found is not None
    assert found.state is leading


def test_a_series_without_job_has_no_leading_job() -> None:
    assert leading_job([]) is None
    assert current_jobs([]) == ()
