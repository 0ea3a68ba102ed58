"""A stored series: which instances there are and what has become of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.domain.identifiers import Uid


class SeriesState(StrEnum):
    """Where a series stands before any job."""

    RECEIVING = "receiving"  # instances arrive, or the quiet time runs
    IGNORED = "ignored"  # complete, and no rule wanted it
    ACCEPTED = "accepted"  # complete, and at least one rule made a job


@dataclass(frozen=True)
class StoredInstance:
    """One instance that is kept; `path` names its Part 10 file, absolute."""

    sop_instance_uid: Uid
    sop_class_uid: Uid
    transfer_syntax_uid: Uid
    path: Path


@dataclass(frozen=True)
class StoredSeries:
    """A series as the store knows it; carries no patient name or identifier."""

    series_instance_uid: Uid
    study_instance_uid: Uid
    state: SeriesState
    instance_count: int
    origin: str  # "c-store MODALITY1", "dicomweb orthanc", ...
    first_received_at: datetime  # UTC
    last_received_at: datetime  # UTC
    start_requested: bool  # an explicit trigger: do not wait for the quiet time


def series_digest(sop_instance_uids: Iterable[str]) -> str:
    """The identity of a set of instances: equal for equal sets, whatever the order."""
    return hashlib.sha256("\n".join(sorted(sop_instance_uids)).encode()).hexdigest()
