"""A shadow run: a candidate model on the series of a job, for comparison and without delivery."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.identifiers import Uid


class ShadowState(StrEnum):
    """State of a shadow run; the values are readable."""

    WAITING = "waiting"  # for the job's result, or for free capacity
    RUNNING = "running"
    COMPARED = "compared"  # final: the agreement is known
    FAILED = "failed"  # final: the candidate refused the series, or an error stopped it
    SKIPPED = "skipped"  # final: there is nothing to compare with


@dataclass(frozen=True)
class ShadowRun:
    """A shadow run as stored. Times are UTC; `reason` is plain text.

    `job_id` is the job whose result is the reference. `active` and `candidate` name versions of
    models, such as `liver-ct@0.3.0`. `active_s` and `candidate_s` are the seconds that the models
    took for reading, segmenting and measuring; None before the comparison.
    """

    shadow_id: str
    job_id: str
    series_instance_uid: Uid
    active: str
    candidate: str
    state: ShadowState
    created_at: datetime
    updated_at: datetime
    reason: str = ""
    attempts: int = 0
    organs: tuple[OrganAgreement, ...] = ()
    active_s: float | None = None
    candidate_s: float | None = None
    result_path: Path | None = None  # the candidate's DICOM SEG, Part 10


def shadow_id(job_id: str, candidate: str) -> str:
    """Returns the id: the same job and candidate always give the same shadow run."""
    return hashlib.sha256(f"shadow\n{job_id}\n{candidate}".encode()).hexdigest()[:32]
