"""Options of the commands that search the audit trail."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.domain.audit.records import AuditAction, AuditOutcome

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
