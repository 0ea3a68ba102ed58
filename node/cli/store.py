"""`segnode store`: verifies, repairs and deletes stored files."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import record_work
from node.cli.jobs import open_store
from node.cli.options import ConfigOption, operating_system_user, stated_reason
from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.errors import Rejected, RejectionReason
from node.domain.series import Deletion

if TYPE_CHECKING:
    from node.store import Store

app = typer.Typer(no_args_is_help=True, help="Verify, repair and delete stored files.")


@app.command()
def verify(config: ConfigOption = None) -> None:
    """Compare every stored image with the index, byte by byte; changes nothing.

    It also names each file of a result that is missing. The exit status is 1 if a fault is found.

    Example: segnode store verify --config /etc/segnode/segnode.toml
    """
    from node.maintenance.verify import Verification

    with open_store(config) as store:
        faults: Counter[str] = Counter()
        for finding in Verification(store).findings():
            faults[finding.fault] += 1
            typer.echo(f"{finding.fault}: {finding.path}")
        count = store.count_instances()
    _print_totals(count, faults)
    raise typer.Exit(1 if faults else 0)


@app.command()
def repair(config: ConfigOption = None) -> None:
    """Add intact files that are not indexed to the index, and move damaged files aside.

    The node accepts an image again that is missing or was moved aside.

    Example: segnode store repair --config /etc/segnode/segnode.toml
    """
    from node.maintenance.verify import Verification

    with open_store(config) as store:
        verification = Verification(store)
        faults: Counter[str] = Counter()
        for finding in verification.findings():
            faults[finding.fault] += 1
            action = verification.repair(finding, datetime.now(UTC))
            typer.echo(f"{finding.fault}: {finding.path}: {action}")
        if faults:
            record_work(store, [], f"segnode store repair: {_summary(faults)}")
        count = store.count_instances()
    _print_totals(count, faults)


@app.command()
def delete(
    series: Annotated[list[str], typer.Argument(help="Series Instance UIDs.")],
    reason: Annotated[
        str,
        typer.Option("--reason", "-r", help="Why; the history keeps it.", callback=stated_reason),
    ],
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the images and results of series; UIDs, outcome and history stay.

    A series is finished, or waits for images that were refused or could not be retrieved.
    Copies in backups, destinations and other systems are not deleted.

    Example: segnode store delete 1.2.840.113619.2.55.3 --reason "request of the patient"
    """
    with open_store(config) as store:
        _require_known(store, series)
        if not yes:
            typer.confirm(f"Delete the images and results of {len(series)} series?", abort=True)
        now, by = datetime.now(UTC), AuditActor(operating_system_user(), AuditInterface.CLI)
        deletions = {
            uid: store.delete_series(uid, now, by=by, reason=reason)
            for uid in dict.fromkeys(series)
        }
    for uid, deletion in deletions.items():
        why_not = deletion.why_not
        typer.echo(f"{uid}: not deleted, because {why_not}." if why_not else f"{uid}: deleted.")
    if kept := sum(each is not Deletion.DELETED for each in deletions.values()):
        raise Rejected(
            RejectionReason.INVALID_INSTANCE, f"{kept} of {len(deletions)} series are kept"
        )


def _require_known(store: "Store", series: Sequence[str]) -> None:
    """Refuses series that the node has not received, before any is deleted."""
    if unknown := [uid for uid in series if store.get_series(uid) is None]:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"nothing is deleted: no series {', '.join(unknown)} has been received",
        )


def _print_totals(count: int, faults: Counter[str]) -> None:
    typer.echo(f"{count} images in the index: {_summary(faults) or 'no faults'}.")


def _summary(faults: Counter[str]) -> str:
    return ", ".join(f"{number} {fault}" for fault, number in sorted(faults.items()))
