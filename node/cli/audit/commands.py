"""`segnode audit`: lists the records of the audit trail and verifies its hash chains."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption

if TYPE_CHECKING:
    from node.store.audit_trail.chain import ChainedRecord

app = typer.Typer(no_args_is_help=True, help="The audit trail: who did what.")


@app.command("list")
def list_records(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of records.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the latest records of the audit trail, newest first.

    Example: segnode audit list --limit 20
    """
    with open_store(config) as store:
        records = store.newest_audit_records(limit)
    if as_json:
        found = [asdict(record) for record in records]
        typer.echo(json.dumps(found, default=str, indent=2))
        return
    for record in records:
        typer.echo(_line(record))
    if not records:
        typer.echo("The audit trail has no records.")


@app.command()
def verify(config: ConfigOption = None) -> None:
    """Verify that no record of the audit trail was changed or removed; status 1 if one was.

    It prints the head of each chain. Who can write the database can also compute a new chain, and
    remove the newest records: note the heads elsewhere, and compare them.

    Example: segnode audit verify
    """
    with open_store(config) as store:
        heads, faults = store.audit_chain_heads(), store.audit_chain_faults()
    for head in heads:
        typer.echo(f"{head.chain}: {head.sequence} records, head {head.hash}")
    for fault in faults:
        typer.echo(f"{fault.chain}: record {fault.sequence} {fault.fault}", err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo("No record was changed or is missing.")


def _line(record: "ChainedRecord") -> str:
    objects = ", ".join(f"{each_type} {identifier}" for each_type, identifier in record.objects)
    address = f" from {record.address}" if record.address else ""
    return (
        f"{record.happened_at:%Y-%m-%d %H:%M:%S} UTC  {record.action} ({record.outcome}), "
        f"{record.actor} by {record.interface}{address}: {objects or '-'} {record.detail}".rstrip()
    )
