"""Feedback: a segmentation that a person stored for images that the node has segmented."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.identifiers import Uid


class FeedbackState(StrEnum):
    """State of a received segmentation; the values are readable."""

    WAITING = "waiting"  # for the comparison, or for the node's own result
    COMPARED = "compared"  # final
    FAILED = "failed"  # final: it cannot be compared; see the reason


@dataclass(frozen=True)
class FeedbackComparison:
    """The agreement with the result of one job; the segmentation by the person is the reference."""

    job_id: str
    model: str  # name and version, such as `liver-ct@0.3.0`
    organs: tuple[OrganAgreement, ...]

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Returns the comparison that is stored as `asdict`; further keys do not count."""
        organs = tuple(OrganAgreement.from_json(organ) for organ in table["organs"])
        return cls(table["job_id"], table["model"], organs)


@dataclass(frozen=True)
class Feedback:
    """A received segmentation as stored; times are UTC, `reason` is plain text.

    `source_series_instance_uid` is the series that it segments; None until it is read.
    """

    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    sender: str
    state: FeedbackState
    received_at: datetime
    updated_at: datetime
    reason: str = ""
    source_series_instance_uid: Uid | None = None
    comparisons: tuple[FeedbackComparison, ...] = ()
