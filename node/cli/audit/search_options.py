"""Options of the commands that search the audit trail, and the record that somebody reads it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import operating_system_user
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)

if TYPE_CHECKING:
    from node.store import Store

_TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

SinceOption = Annotated[
    datetime | None, typer.Option(formats=_TIME_FORMATS, help="Only records since then, UTC.")
]
UntilOption = Annotated[
    datetime | None, typer.Option(formats=_TIME_FORMATS, help="Only records before then, UTC.")
]
UserOption = Annotated[str, typer.Option(help="Part of the name of who acts.")]
ActionOption = Annotated[AuditAction | None, typer.Option(help="Only this action.")]
OutcomeOption = Annotated[AuditOutcome | None, typer.Option(help="Only this outcome.")]
ObjectOption = Annotated[
    str, typer.Option("--object", help="Only about this object: a UID, the name of a user ...")
]
AddressOption = Annotated[str, typer.Option(help="Part of the address of who acts.")]


def in_utc(time: datetime | None) -> datetime | None:
    """Returns the time of an option, which has no time zone, as UTC."""
    return None if time is None else time.replace(tzinfo=UTC)


def record_reading(store: "Store", detail: str) -> None:
    """Records that the user of this command reads the audit trail (PS3.15 A.5.3.2).

    Raises:
        Transient: the record cannot be written; the trail must not be shown then.
    """
    store.record(
        AuditRecord(
            datetime.now(UTC),
            AuditAction.AUDIT_READ,
            AuditOutcome.SUCCESS,
            AuditActor(f"{operating_system_user()} (command line)", AuditInterface.CLI),
            (AuditObject(AuditObjectType.AUDIT_TRAIL, "audit trail"),),
            detail,
        )
    )
