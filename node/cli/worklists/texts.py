"""Texts of worklists and work items for the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.domain.worklists.work_item import WorkItem, WorkItemState

if TYPE_CHECKING:
    from node.store.worklists.worklists import WorklistStatus

_MEANINGS = {
    WorkItemState.CLAIMING: "to be claimed",
    WorkItemState.CLAIMED: "claimed",
    WorkItemState.PERFORMING: "in progress",
    WorkItemState.COMPLETING: "performed, to be completed at the server",
    WorkItemState.CANCELING: "to be canceled at the server",
    WorkItemState.COMPLETED: "completed",
    WorkItemState.CANCELED: "canceled",
    WorkItemState.WITHDRAWN: "not, or no longer, performed by this node",
}


def worklist_lines(statuses: "Sequence[WorklistStatus]", items: Sequence[WorkItem]) -> list[str]:
    """Returns one line for each worklist, and a few for each work item."""
    lines = [_status(status) for status in statuses] or [
        "The configuration has no worklist ([worklists.NAME])."
    ]
    lines += [line for item in items for line in _item(item)] or ["No work item has been found."]
    return lines


def _status(status: "WorklistStatus") -> str:
    if status.error:
        since = f"{status.failing_since:%Y-%m-%d %H:%M:%S} UTC" if status.failing_since else "now"
        return f"Worklist {status.name} fails since {since}: {status.error}"
    if status.answered_at is None:
        return f"Worklist {status.name} has not been queried yet."
    return f"Worklist {status.name} answered at {status.answered_at:%Y-%m-%d %H:%M:%S} UTC."


def _item(item: WorkItem) -> list[str]:
    code = "no code" if item.code is None else str(item.code)
    lines = [
        f"{item.created_at:%Y-%m-%d %H:%M:%S} UTC  {item.worklist}, {code}, "
        f"rule {item.rule or 'unknown'}",
        f"  work item {item.work_item_uid}: {state_text(item)}",
    ]
    lines += [f"  series {one.series_instance_uid} from {one.source}" for one in item.inputs]
    if item.error:
        lines.append(f"  attempt {item.attempts} failed: {item.error}")
    return lines


def state_text(item: WorkItem) -> str:
    """Returns the state of a work item with its progress and reason."""
    percent = f" ({item.progress} %)" if item.state is WorkItemState.PERFORMING else ""
    reason = f": {item.reason}" if item.reason else ""
    asked = item.cancel_requested_at is not None and not item.is_final
    request = "; its cancellation is requested" if asked else ""
    return f"{_MEANINGS[item.state]}{percent}{reason}{request}"
