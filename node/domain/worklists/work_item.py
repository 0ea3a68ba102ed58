"""A work item of a worklist (Unified Procedure Step) that the node performs."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code


class WorkItemState(StrEnum):
    """State of a work item at this node; the values are readable."""

    CLAIMING = "claiming"  # the claim is to be sent, or its outcome is not known
    CLAIMED = "claimed"  # the node owns it and has not read its contents yet
    PERFORMING = "performing"  # images are retrieved, and jobs run
    COMPLETING = "completing"  # performed; to be reported to the server
    CANCELING = "canceling"  # not performed; to be reported to the server
    COMPLETED = "completed"  # final
    CANCELED = "canceled"  # final: see the reason
    WITHDRAWN = "withdrawn"  # final: it is not, or no longer, the node's; see the reason


FINAL_STATES = (WorkItemState.COMPLETED, WorkItemState.CANCELED, WorkItemState.WITHDRAWN)
# The states in which the node works on it.
OWNED = frozenset({WorkItemState.CLAIMED, WorkItemState.PERFORMING})


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
        return self.state in FINAL_STATES

    def public_fields(self) -> dict[str, Any]:
        """Returns the fields without the key of the owner and without the final data set."""
        hidden = {"transaction_uid", "report"}
        return {name: value for name, value in asdict(self).items() if name not in hidden}
