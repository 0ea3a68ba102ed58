"""A work item of a worklist (Unified Procedure Step) that the node performs."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from node.domain.identifiers import Uid


class WorkItemState(StrEnum):
    """State of a work item at this node; the values are readable."""

    CLAIMING = "claiming"  # the claim is to be sent, or its outcome is not known
    CLAIMED = "claimed"  # the node owns it and has not read its contents yet
    PERFORMING = "performing"  # images are retrieved, and jobs run
    COMPLETING = "completing"  # performed; the server is to be told
    CANCELING = "canceling"  # not performed; the server is to be told
    COMPLETED = "completed"  # final
    CANCELED = "canceled"  # final: see the reason
    WITHDRAWN = "withdrawn"  # final: it is not, or no longer, the node's; see the reason


_FINAL = frozenset({WorkItemState.COMPLETED, WorkItemState.CANCELED, WorkItemState.WITHDRAWN})
# The states in which the node works on it.
OWNED = frozenset({WorkItemState.CLAIMED, WorkItemState.PERFORMING})


class Discontinuation(Enum):
    """Why the node cancels a work item: code value (DCM) and meaning from PS3.16 CID 9300."""

    EQUIPMENT_FAILURE = ("110501", "Equipment failure")
    UNSPECIFIED = ("110513", "Discontinued for unspecified reason")
    OBJECTS_MALFORMED = ("110521", "Objects incorrectly formatted")
    OBJECT_TYPES_NOT_SUPPORTED = ("110522", "Object Types not supported")
    OBJECT_SET_INCOMPLETE = ("110523", "Object Set incomplete")
    ASSIGNMENT_REJECTED = ("110530", "Workitem assignment rejected by assigned resource")


@dataclass(frozen=True)
class Code:
    """A coded entry (PS3.3 8); `str` is its value and scheme."""

    value: str
    scheme: str
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.scheme})"

    def is_same(self, other: "Code") -> bool:
        """Whether value and scheme are equal, which identify a concept (PS3.3 8.1)."""
        return (self.value, self.scheme) == (other.value, other.scheme)

    @classmethod
    def of(cls, reason: Discontinuation) -> "Code":
        """Returns the code of a reason."""
        value, meaning = reason.value
        return cls(value, "DCM", meaning)


@dataclass(frozen=True)
class WorkItemInput:
    """A series that a work item names as input.

    `sop_instance_uids` are the instances that it lists; empty if it lists none. `source` is the
    name of the source or peer that the series is retrieved from.
    """

    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uids: tuple[Uid, ...]
    source: str
    retrieval_id: int | None = None  # once it is requested


@dataclass(frozen=True)
class WorkItem:
    """A work item as stored; holds no patient name or identifier. Times are UTC.

    `worklist` is the name in the settings. `transaction_uid` is the node's key to the work item:
    only its owner knows it. `report` is the final data set (DICOM JSON) of a work item that ends.
    """

    worklist: str
    work_item_uid: Uid
    transaction_uid: Uid
    state: WorkItemState
    rule: str  # the name of the rule that performs it; empty if its code is unknown
    code: Code | None  # its Scheduled Workitem Code
    reason: str  # what it waits for, or why it ended so
    progress: int  # in percent, as last reported
    cancel_requested_at: datetime | None
    cancel_code: Code | None  # the reason that the requester gave
    report: str
    attempts: int  # failed ones in a row
    error: str  # of the last attempt; empty after a success
    created_at: datetime
    claimed_at: datetime | None
    updated_at: datetime
    inputs: tuple[WorkItemInput, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether no state follows this one."""
        return self.state in _FINAL


FINAL_STATES = tuple(_FINAL)
