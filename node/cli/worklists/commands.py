"""`segnode worklist`: the work items that the node performs for a workflow manager."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import record_work
from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption
from node.cli.worklists.texts import state_text, worklist_lines
from node.domain.audit.records import AuditObject, AuditObjectType
from node.domain.errors import Rejected, RejectionReason
from node.domain.worklists.work_item import WorkItem

if TYPE_CHECKING:
    from node.store import Store

app = typer.Typer(no_args_is_help=True, help="Work items of workflow managers (UPS-RS).")

UidArgument = Annotated[str, typer.Argument(help="SOP Instance UID of the work item.")]
WorklistOption = Annotated[
    str, typer.Option("--worklist", help="Its worklist, where several have the same UID.")
]


@app.command("list")
def list_work_items(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of work items.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List whether each worklist answers, and the work items, newest first.

    Example: segnode worklist list --limit 10
    """
    from node.configuration.active import active_settings

    names = list(active_settings(config).worklists)
    with open_store(config) as store:
        statuses = [store.worklist_status(name) for name in names]
        items = store.list_work_items(limit)
    if as_json:
        worklists = [asdict(status) for status in statuses]
        listed = {"worklists": worklists, "work_items": [item.public_fields() for item in items]}
        typer.echo(json.dumps(listed, default=str, indent=2))
        return
    typer.echo("\n".join(worklist_lines(statuses, items)))


@app.command()
def show(uid: UidArgument, worklist: WorklistOption = "", config: ConfigOption = None) -> None:
    """Show one work item with its series, jobs and history as JSON.

    Example: segnode worklist show 1.2.840.113619.2.55.9
    """
    with open_store(config) as store:
        item = _find(store, uid, worklist)
        jobs = [
            {"job_id": job.job_id, "state": job.visible_state, "reason": job.reason}
            for one in item.inputs
            for job in store.jobs_of(one.series_instance_uid)
        ]
        events = [asdict(event) for event in store.history_of(item.work_item_uid)]
    report = json.loads(item.report) if item.report else None
    shown = item.public_fields() | {"jobs": jobs, "events": events, "report": report}
    typer.echo(json.dumps(shown, default=str, indent=2))


@app.command()
def cancel(uid: UidArgument, worklist: WorklistOption = "", config: ConfigOption = None) -> None:
    """Cancel a work item at its server, unless a destination has its result already.

    Example: segnode worklist cancel 1.2.840.113619.2.55.9
    """
    with open_store(config) as store:
        item = _find(store, uid, worklist)
        if item.is_final:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"work item {uid} has ended: {state_text(item)}",
            )
        store.request_cancellation(item.worklist, uid, None, datetime.now(UTC))
        record_work(store, [AuditObject(AuditObjectType.WORK_ITEM, uid)], "segnode worklist cancel")
    typer.echo(f"The cancellation of {uid} is requested; see `segnode worklist list`.")


def _find(store: "Store", uid: str, worklist: str) -> WorkItem:
    """Returns the work item.

    Raises:
        Rejected: there is none, or several worklists have one with that UID.
    """
    found = [item for item in store.work_items_with_uid(uid) if worklist in {"", item.worklist}]
    if len(found) == 1:
        return found[0]
    names = ", ".join(item.worklist for item in found)
    problem = f"choose one with --worklist: {names}" if found else "see `segnode worklist list`"
    raise Rejected(
        RejectionReason.INVALID_INSTANCE,
        f"{'several worklists have' if found else 'there is no'} work item {uid}; {problem}",
    )
