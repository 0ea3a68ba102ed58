"""A job: one version of a series, one version of a model, one result."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.domain.identifiers import Uid, mint_uid


class JobState(StrEnum):
    """Where a job stands; a person can read these."""

    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"  # final: every destination has the result
    REFUSED = "refused"  # final: the input is not for this model; see the reason
    SUPERSEDED = "superseded"  # final: a fuller series came in before the result was sent
    PARKED = "parked"  # stopped after errors; a person can retry or discard it
    DISCARDED = "discarded"  # final: a person has given up on it


class Priority(StrEnum):
    """Which jobs come first; a job that runs is not interrupted."""

    STAT = "stat"  # from Latin statim: at once
    ROUTINE = "routine"


_NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.SUPERSEDED, JobState.PARKED}),
    JobState.RUNNING: frozenset(
        {
            JobState.RUNNING,
            JobState.DELIVERING,
            JobState.REFUSED,
            JobState.SUPERSEDED,
            JobState.PARKED,
        }
    ),
    JobState.DELIVERING: frozenset(
        {JobState.DELIVERING, JobState.DELIVERED, JobState.SUPERSEDED, JobState.PARKED}
    ),
    JobState.DELIVERED: frozenset(),
    JobState.REFUSED: frozenset(),
    JobState.SUPERSEDED: frozenset(),
    JobState.PARKED: frozenset({JobState.QUEUED, JobState.DISCARDED}),
    JobState.DISCARDED: frozenset(),
}


def can_transition(now: JobState, then: JobState) -> bool:
    """Whether a job may go from `now` to `then`."""
    return then in _NEXT[now]


def can_rerun(state: JobState) -> bool:
    """Whether a person may have the job done again from the images."""
    return state in {
        JobState.DELIVERED,
        JobState.REFUSED,
        JobState.PARKED,
        JobState.DISCARDED,
    }


def is_final(state: JobState) -> bool:
    """Whether nothing follows this state by itself."""
    return not _NEXT[state]


@dataclass(frozen=True)
class ResultIdentity:
    """The UIDs of a job's result, minted once so that every retry writes the same object."""

    series_instance_uid: Uid
    sop_instance_uid: Uid
    tracking_uid: Uid


def job_id(digest: str, model_id: str, model_version: str) -> str:
    """The job's name: the same series content, model and version always give the same job."""
    return hashlib.sha256(f"{digest}\n{model_id}\n{model_version}".encode()).hexdigest()[:32]


def result_identity(job: str) -> ResultIdentity:
    """The UIDs of the result of the job named `job`."""
    return ResultIdentity(
        series_instance_uid=mint_uid("series", job),
        sop_instance_uid=mint_uid("instance", job),
        tracking_uid=mint_uid("tracking", job),
    )


@dataclass(frozen=True)
class ReplacedResult:
    """The earlier result that a newer one replaces: the series or the model has changed since."""

    sop_instance_uid: Uid
    instance_count: int
    model_version: str  # empty where it was not kept


@dataclass(frozen=True)
class Job:
    """A job as stored. Times are UTC; `reason` is in plain words; `timings_s` in seconds.

    `source` is who sent its series; `turn` is given by the store: the lower the sooner.
    """

    job_id: str
    series_instance_uid: Uid
    study_instance_uid: Uid
    series_digest: str
    instance_count: int
    rule: str
    model_id: str
    model_version: str
    destinations: tuple[str, ...]
    state: JobState
    reason: str
    replaces: ReplacedResult | None
    timings_s: dict[str, float]
    measurements: dict[str, dict[str, float | bool]]  # label name -> {"volume_ml": ..., ...}
    result_path: Path | None  # names the DICOM SEG, Part 10 (see `node.store.files`)
    picture_path: Path | None  # names the overlay, PNG
    created_at: datetime
    updated_at: datetime
    priority: Priority = Priority.ROUTINE
    source: str = ""
    turn: int = 0

    def as_replaced(self) -> ReplacedResult:
        """Its result, as a newer one refers to it."""
        uid = result_identity(self.job_id).sop_instance_uid
        return ReplacedResult(uid, self.instance_count, self.model_version)
