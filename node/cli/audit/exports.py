"""Records exports by the command line in the audit trail."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.cli.options import operating_system_user
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditOutcome,
    AuditRecord,
)

if TYPE_CHECKING:
    from node.store import Store


def record_export(store: "Store", exported: AuditObject, detail: str) -> None:
    """Records that the operating system's user exports data of patients.

    Call it before the export: nothing leaves the node without a record.

    Raises:
        Transient: the record cannot be written.
    """
    record = AuditRecord(
        datetime.now(UTC),
        AuditAction.EXPORTED,
        AuditOutcome.SUCCESS,
        AuditActor(f"{operating_system_user()} (command line)", AuditInterface.CLI),
        (exported,),
        detail,
    )
    store.record(record)
