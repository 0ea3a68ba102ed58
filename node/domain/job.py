"""A job: one version of a series or of a part of it, one version of a model, one result."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.domain.findings import Finding
from node.domain.identifiers import Uid
from node.domain.result_objects import NOTICE, SEG, ObjectUids, ResultObject
from node.domain.series import SeriesPart


class JobState(StrEnum):
    """State of a job; the values are readable."""

    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"  # final: every destination has the result, but for those in the reason
    REFUSED = "refused"  # final: the input is not suitable; see the reason
    SUPERSEDED = "superseded"  # final: more instances arrived before the result was sent
    PARKED = "parked"  # stopped after errors; a person can retry or discard it
    DISCARDED = "discarded"  # final: given up by a person


# The reason of a job whose result is held starts with this.
HELD = "held for a person: "


class Priority(StrEnum):
    """Order of queued jobs; a running job is not interrupted."""

    STAT = "stat"
    ROUTINE = "routine"


_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
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
        {
            JobState.DELIVERING,
            JobState.DELIVERED,
            JobState.REFUSED,  # after the delivery of its notice
            JobState.SUPERSEDED,
            JobState.PARKED,
            JobState.DISCARDED,  # after a person has discarded every delivery
        }
    ),
    JobState.DELIVERED: frozenset(),
    JobState.REFUSED: frozenset(),
    JobState.SUPERSEDED: frozenset(),
    JobState.PARKED: frozenset(
        {
            JobState.QUEUED,
            JobState.DELIVERING,  # after a person has acted on a parked delivery
            JobState.DISCARDED,
        }
    ),
    JobState.DISCARDED: frozenset(),
}


def can_transition(now: JobState, then: JobState) -> bool:
    """Whether a job may change from `now` to `then`."""
    return then in _TRANSITIONS[now]


def can_rerun(state: JobState) -> bool:
    """Whether a person may rerun the job from its images."""
    return state in {
        JobState.DELIVERED,
        JobState.REFUSED,
        JobState.PARKED,
        JobState.DISCARDED,
    }


def is_final(state: JobState) -> bool:
    """Whether no state follows this one without a person."""
    return not _TRANSITIONS[state]


def job_id(digest: str, model_id: str, model_version: str, part: SeriesPart | None = None) -> str:
    """The job's id: the same series content, part, model and version always give the same job."""
    identity = f"{digest}\n{model_id}\n{model_version}"
    if part is not None:
        identity += f"\n{part.key}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ReplacedResult:
    """An earlier result that a newer one replaces after the series or model changed."""

    sop_instance_uid: Uid
    instance_count: int
    model_version: str  # empty if not recorded


@dataclass(frozen=True)
class Job:
    """A job as stored. Times are UTC; `reason` is plain text; `timings_s` is by stage.

    `rules` are the names of the rules that selected the model; `rule` is their text. `source` is
    the peer that sent the series. The store sets `turn`: lower runs sooner. With a `part`, the
    job is about that part of the series only, and `instance_count` is that of the part.
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
    result_path: Path | None  # the DICOM SEG, Part 10
    picture_path: Path | None  # the preview, PNG
    created_at: datetime
    updated_at: datetime
    priority: Priority = Priority.ROUTINE
    source: str = ""
    turn: int = 0
    findings: tuple[Finding, ...] = ()
    rules: tuple[str, ...] = ()
    part: SeriesPart | None = None

    @property
    def model_reference(self) -> str:
        """Names the version of the model, such as `liver-ct@0.3.0`."""
        return f"{self.model_id}@{self.model_version}"

    @property
    def is_held(self) -> bool:
        """Whether the result waits for a person because of its findings."""
        return self.state is JobState.PARKED and self.reason.startswith(HELD)

    @property
    def is_refusal(self) -> bool:
        """Whether its only object is the notice that the series is refused."""
        return self.result_path is not None and self.result_object == NOTICE

    @property
    def visible_state(self) -> JobState:
        """The state as people see it: a refused series is refused while its notice is delivered."""
        is_notified = self.state is JobState.DELIVERING and self.is_refusal
        return JobState.REFUSED if is_notified else self.state

    @property
    def result_object(self) -> ResultObject:
        """The SEG that stands for the result, or the notice; its file is named after it."""
        if self.result_path is None:
            return SEG
        try:
            return ResultObject.parse(self.result_path.stem)
        except ValueError:  # a file of an earlier version
            return SEG

    @property
    def result_uids(self) -> ObjectUids:
        """The UIDs of the SEG that stands for the result."""
        return ObjectUids(self.job_id, self.result_object)

    def as_replaced(self) -> ReplacedResult:
        """Describes the result to a newer one that replaces it."""
        uid = self.result_uids.sop_instance_uid()
        return ReplacedResult(uid, self.instance_count, self.model_version)
