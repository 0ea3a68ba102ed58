"""A stored series: its instances and its state."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.domain.identifiers import Uid


class SeriesState(StrEnum):
    """State of a series, apart from its jobs."""

    RECEIVING = "receiving"  # instances arrive, or the quiet time has not passed
    IGNORED = "ignored"  # complete; no rule matched
    ACCEPTED = "accepted"  # complete; at least one rule matched


class AcquisitionChoice(StrEnum):
    """A choice among the acquisitions, phases or reconstructions of a series.

    They are in the order of their image numbers. The values are those of the setting of a rule.
    With EACH, every one of them becomes a job and a result of its own.
    """

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"
    MOST_SLICES = "most-slices"  # the first of those with the most slices
    EACH = "each"


@dataclass(frozen=True)
class StoredInstance:
    """A stored instance; `path` is the absolute path of its Part 10 file."""

    sop_instance_uid: Uid
    sop_class_uid: Uid
    transfer_syntax_uid: Uid
    path: Path


@dataclass(frozen=True)
class StoredSeries:
    """A series in the store; holds no patient name or identifier."""

    series_instance_uid: Uid
    study_instance_uid: Uid
    state: SeriesState
    instance_count: int
    origin: str  # "c-store MODALITY1", "dicomweb orthanc", ...
    first_received_at: datetime  # UTC
    last_received_at: datetime  # UTC
    start_requested: bool  # explicit trigger: skip the quiet time


def series_digest(sop_instance_uids: Iterable[str]) -> str:
    """Digest of a set of instances: equal for equal sets, in any order."""
    return hashlib.sha256("\n".join(sorted(sop_instance_uids)).encode()).hexdigest()
