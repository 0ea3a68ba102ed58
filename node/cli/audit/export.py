"""`segnode audit export`: writes records of the audit trail into a file."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

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
from node.cli.jobs import open_store
from node.cli.options import ConfigOption
from node.domain.audit.export_format import ExportFormat

FileArgument = Annotated[Path, typer.Argument(help="The new file.", dir_okay=False)]
FormatOption = Annotated[
    ExportFormat,
    typer.Option("--format", help="json, or dicom for audit messages of PS3.15 A.5 in XML."),
]


def export(
    file: FileArgument,
    config: ConfigOption = None,
    export_format: FormatOption = ExportFormat.JSON,
    since: SinceOption = None,
    until: UntilOption = None,
    user: UserOption = "",
    action: ActionOption = None,
    outcome: OutcomeOption = None,
    object_: ObjectOption = "",
    address: AddressOption = "",
) -> None:
    """Write records of the audit trail into a new file, one on each line, oldest first.

    Only its owner can read the file. The export itself is recorded.

    Example: segnode audit export audit.jsonl --since 2026-11-01
    """
    from node.audit.export_lines import line_writer
    from node.store.audit_trail.searching import AuditOrder, AuditSearch

    search = AuditSearch(since, until, action, outcome, user, object_, address, datetime.now(UTC))
    line_of = line_writer(export_format)
    with open_store(config) as store:
        record_reading(store, f"exported as {export_format}")
        records = store.audit_records(search, AuditOrder.OLDEST_FIRST)
        count = _write(file, (line_of(record) for record in records))
    typer.echo(f"{file} holds {count} records.")


def _write(file: Path, lines: Iterable[bytes]) -> int:
    """Writes the lines into a new file and returns their number; a failure leaves no file."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be created: {error.strerror}") from error
    count = 0
    try:
        with os.fdopen(descriptor, "wb") as output:
            for line in lines:
                output.write(line + b"\n")
                count += 1
    except BaseException:
        file.unlink()
        raise
    return count
