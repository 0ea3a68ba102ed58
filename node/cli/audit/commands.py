"""`segnode audit`: lists, verifies and exports the records of the audit trail."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.export import export
from node.cli.audit.operator_records import record_reading
from node.cli.audit.search_options import (
    ActionOption,
    AddressOption,
    ObjectOption,
    OutcomeOption,
    SinceOption,
    UntilOption,
    UserOption,
)
from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption

if TYPE_CHECKING:
    from node.store.audit_trail.chain import ChainedRecord, ChainHead

ExpectOption = Annotated[
    list[str] | None,
    typer.Option(metavar="HEAD", help="A head of an earlier call; several are allowed."),
]

app = typer.Typer(no_args_is_help=True, help="The audit trail: who did what.")
app.command()(export)


@app.command("list")
def list_records(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of records.")] = 50,
    since: SinceOption = None,
    until: UntilOption = None,
    user: UserOption = "",
    action: ActionOption = None,
    outcome: OutcomeOption = None,
    object_: ObjectOption = "",
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the latest records of the audit trail, newest first; all conditions must hold.

    That somebody lists them is recorded, too.

    Example: segnode audit list --user ada --since 2026-11-01
    """
    from node.store.audit_trail.searching import AuditSearch

    search = AuditSearch(since, until, action, outcome, user, object_, address, datetime.now(UTC))
    with open_store(config) as store:
        record_reading(store, "listed")
        records = store.audit_page(search, limit)
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in records], default=str, indent=2))
        return
    for record in records:
        typer.echo(_line(record))
    if not records:
        typer.echo("No record of the audit trail fits.")


@app.command()
def verify(config: ConfigOption = None, expect: ExpectOption = None) -> None:
    """Verify that no record of the audit trail was changed or removed; status 1 if one was.

    It prints the head of each chain. Who can write the database can also compute a new chain, and
    remove the newest records: note the heads elsewhere, and give them with --expect.

    Example: segnode audit verify
    """
    from node.store.audit_trail.chain import CHAIN_START

    expected = [_checked_head(each) for each in expect or []]
    with open_store(config) as store:
        heads, faults = store.audit_chain_heads(), store.audit_chain_faults()
        absent = store.absent_audit_hashes(expected)
    for head in heads:
        typer.echo(f"{head.chain}: {_extent(head)}, head {head.last.hash}")
    for fault in faults:
        typer.echo(f"{fault.chain}: record {fault.sequence} {fault.fault}", err=True)
    for each in absent:
        typer.echo(f"The record with the noted head {each} was changed or removed.", err=True)
    if absent and any(head.removed != CHAIN_START for head in heads):
        typer.echo("Retention removes records: expect heads that are not as old.", err=True)
    if faults or absent:
        raise typer.Exit(1)
    if not heads:
        typer.echo("The audit trail is empty: there is no record of any host.")
        return
    typer.echo("No record was changed or is missing.")


def _checked_head(text: str) -> str:
    head = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", head):
        raise typer.BadParameter(f"{text!r} is no head: one has 64 hexadecimal digits")
    return head


def _extent(head: "ChainHead") -> str:
    """How many records a chain has, and how many of them retention has removed."""
    removed = head.removed.sequence
    return f"{head.last.sequence} records" + (f", {removed} of them removed" if removed else "")


def _line(record: "ChainedRecord") -> str:
    """Returns the record on one line: who did it, to which objects, and the detail."""
    from node.audit.record_texts import actor_text, object_texts

    address = f" from {record.address}" if record.address else ""
    change = "; --json shows the change" if record.change else ""
    parts = (
        f"{record.happened_at:%Y-%m-%d %H:%M:%S} UTC  {record.action} ({record.outcome}), "
        f"{actor_text(record)} by {record.interface}{address}",
        ", ".join(object_texts(record)),
        f"{record.detail}{change}",
    )
    return ": ".join(part for part in parts if part)
