"""Options of the commands that search the audit trail."""

from datetime import datetime
from typing import Annotated

import typer

from node.cli.options import TIME_HELP, TIME_METAVAR, time_option
from node.domain.audit.records import AuditAction, AuditOutcome

SinceOption = Annotated[
    datetime | None,
    typer.Option(
        parser=time_option, metavar=TIME_METAVAR, help=f"Only records since then: {TIME_HELP}."
    ),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        parser=time_option, metavar=TIME_METAVAR, help="Only records before then, as --since."
    ),
]
UserOption = Annotated[str, typer.Option(help="Part of the name of who acts.")]
ActionOption = Annotated[AuditAction | None, typer.Option(help="Only this action.")]
OutcomeOption = Annotated[AuditOutcome | None, typer.Option(help="Only this outcome.")]
ObjectOption = Annotated[
    str, typer.Option("--object", help="Only about this object: a UID, the name of a user ...")
]
AddressOption = Annotated[str, typer.Option(help="Part of the address of who acts.")]
