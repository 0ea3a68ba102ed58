"""Summaries: a job in one line, and the jobs that count in a series."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from node.domain.job import Job, JobState
from node.domain.series import SeriesPart
from node.domain.texts.numbers import millilitres

# States of the parts of a series; the first that one of them has stands for the series. What needs
# a person comes first, then what goes on, then what has ended.
_URGENCY = (
    JobState.PARKED,
    JobState.RUNNING,
    JobState.QUEUED,
    JobState.DELIVERING,
    JobState.REFUSED,
    JobState.DELIVERED,
    JobState.DISCARDED,
    JobState.SUPERSEDED,
)


class SeriesJob(Protocol):
    """What decides which jobs count in a series: `Job` has it, and so has a row of the index."""

    @property
    def model_id(self) -> str: ...
    @property
    def model_version(self) -> str: ...
    @property
    def series_digest(self) -> str: ...
    @property
    def part(self) -> SeriesPart | None: ...


_AnyJob = TypeVar("_AnyJob", bound=SeriesJob)


def is_lower_bound(measured: Mapping[str, float | bool]) -> bool:
    """Whether the images do not show the whole organ, so that its volume is a lower bound."""
    return bool(measured.get("cut_by_series") or measured.get("touches_field_of_view"))


def outcome(job: Job) -> str:
    """The volumes of a job's organs, or the reason why there are none.

    A delivered job has a reason if some destinations did not get the result.
    """
    if job.visible_state is not job.state:
        return f"{job.reason} The refusal notice is being delivered.".strip()
    if job.reason and job.state is not JobState.DELIVERED:
        return job.reason
    volumes = []
    for label, measured in job.measurements.items():
        bound = "at least " if is_lower_bound(measured) else ""
        volume = f"{bound}{millilitres(measured['volume_ml'])}"
        volumes.append(f"{label} {volume if measured['volume_ml'] > 0 else 'not found'}")
    return "; ".join(text for text in (", ".join(volumes), job.reason) if text)


def current_jobs(jobs: Sequence[_AnyJob]) -> tuple[_AnyJob, ...]:
    """Returns the jobs that no newer job of their model has replaced.

    `jobs` are those of a series, newest first. If a series has parts, these are the jobs of all
    parts, in the order of the parts.
    """
    newest = {job.model_id: job for job in reversed(jobs)}
    ordered = dict.fromkeys(job.model_id for job in jobs)
    return tuple(job for model_id in ordered for job in _beside(newest[model_id], jobs))


def leading_job(jobs: Sequence[Job]) -> Job | None:
    """Returns the job whose state is that of the series; `jobs` are newest first.

    It is the newest one. If that is about a part of the series, it is the job among those of the
    other parts whose state is most urgent.
    """
    if not jobs:
        return None
    return min(_beside(jobs[0], jobs), key=lambda job: _URGENCY.index(job.visible_state))


def _beside(newest: _AnyJob, jobs: Sequence[_AnyJob]) -> list[_AnyJob]:
    """Returns the job and those for the other parts of the same version of the series."""
    if newest.part is None:
        return [newest]
    keyword = newest.part.keyword
    parts = [
        (job.part.number, job)
        for job in jobs
        if job.part is not None
        and job.part.keyword == keyword
        and job.model_id == newest.model_id
        and job.model_version == newest.model_version
        and job.series_digest == newest.series_digest
    ]
    return [job for _number, job in sorted(parts, key=lambda part: part[0])]
