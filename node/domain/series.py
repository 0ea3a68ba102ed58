"""A stored series: its instances, its state, and the parts that it may hold."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from node.domain.identifiers import Uid

# The attributes by which a series divides, and their names in messages. What the scanner calls a
# phase comes first.
PART_ATTRIBUTES: Mapping[str, str] = {
    "TemporalPositionIdentifier": "temporal position",
    "TemporalPositionIndex": "temporal position",
    "TemporalPositionTimeOffset": "temporal offset",
    "NominalPercentageOfCardiacPhase": "cardiac phase",
    "AcquisitionNumber": "acquisition",
    "FrameAcquisitionNumber": "acquisition",
    "StackID": "stack",
    "KVP": "KVP",
    "ConvolutionKernel": "convolution kernel",
    "ImageType": "image type",
    "AcquisitionTime": "acquisition time",
    "TriggerTime": "trigger time",
}
# A longer value would fill the 64 characters of a Series Description.
_MAX_VALUE = 16


class SeriesState(StrEnum):
    """State of a series, apart from its jobs."""

    RECEIVING = "receiving"  # instances arrive, or the quiet time has not passed
    IGNORED = "ignored"  # complete; no rule matched
    ACCEPTED = "accepted"  # complete; at least one rule matched
    DELETED = "deleted"  # a person deleted its images before a rule matched


class Deletion(StrEnum):
    """What came of a person's request to delete the images and results of a series."""

    DELETED = "deleted"
    NOTHING_STORED = "nothing stored"
    ARRIVING = "arriving"
    UNFINISHED = "unfinished"

    @property
    def why_not(self) -> str:
        """Why nothing was deleted, and what a person can do; empty if it was."""
        match self:
            case Deletion.DELETED:
                return ""
            case Deletion.NOTHING_STORED:
                return "it has no images on this node (any more)"
            case Deletion.ARRIVING:
                return "its images are arriving: try again in a minute"
            case Deletion.UNFINISHED:
                return (
                    "it is not finished: wait for its decision and for its jobs, or discard the "
                    "jobs that have stopped"
                )


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


@dataclass(frozen=True)
class SeriesPart:
    """A part of a series that divides by the DICOM attribute `keyword`.

    `value` is the attribute's value in the part, empty if its images state none. Parts are numbered
    from 1 in the order of their image numbers. `digest` is that of the part's instances, or of its
    frames.
    """

    keyword: str
    value: str
    number: int
    count: int
    instance_count: int
    slice_count: int
    digest: str

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Returns the part that is stored as `asdict`; further keys do not count."""
        return cls(**{field.name: table[field.name] for field in fields(cls)})

    @property
    def key(self) -> str:
        """Identifies the part in its series, also after the series has grown."""
        return f"{self.keyword}={self.value}"

    @property
    def title(self) -> str:
        """Names the part, such as `acquisition 2`; unique in its series."""
        attribute = part_attribute(self.keyword)
        if 0 < len(self.value) <= _MAX_VALUE:
            return f"{attribute} {self.value}"
        return f"part {self.number} of {self.count} by {attribute}"


def part_attribute(keyword: str) -> str:
    """Returns the attribute in plain words; its keyword if only a later version divides by it."""
    return PART_ATTRIBUTES.get(keyword, keyword)


def series_digest(sop_instance_uids: Iterable[str]) -> str:
    """Digest of a set of instances: equal for equal sets, in any order."""
    return hashlib.sha256("\n".join(sorted(sop_instance_uids)).encode()).hexdigest()
