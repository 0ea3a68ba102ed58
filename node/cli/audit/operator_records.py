"""Records in the audit trail of what the user of the command line does."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

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

# Longer commands are no searches of people.
_MAX_QUERY = 2000


def now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


def operator() -> str:
    """Names who runs the command."""
    return f"{operating_system_user()} (command line)"


def operator_record(
    action: AuditAction,
    objects: Sequence[AuditObject],
    detail: str = "",
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
) -> AuditRecord:
    """Returns the record of what the user of the operating system does now."""
    actor = AuditActor(operator(), AuditInterface.CLI)
    return AuditRecord(now(), action, outcome, actor, objects, detail)


def record_export(store: "Store", exported: AuditObject, detail: str) -> None:
    """Records that this user exports data of patients.

    Call it before the export: nothing leaves the node without a record.

    Raises:
        Transient: the record cannot be written.
    """
    store.record(operator_record(AuditAction.EXPORTED, [exported], detail))


def record_work(store: "Store", objects: Sequence[AuditObject], detail: str) -> None:
    """Records that this user has changed the work of the node.

    The change is made already, and stays where the record cannot be written.
    """
    from node.audit.losses import AuditLosses
    from node.audit.recording import record_if_possible

    record = operator_record(AuditAction.WORK_CHANGED, objects, detail)
    record_if_possible(store.record, record, AuditLosses(store.data_dir))


def record_job_work(store: "Store", job_id: str, detail: str) -> None:
    """Records that this user has changed the work of one job."""
    record_work(store, [AuditObject(AuditObjectType.JOB, job_id)], detail)


def record_reading(store: "Store", detail: str) -> None:
    """Records that this user reads the audit trail (PS3.15 A.5.3.2).

    Raises:
        Transient: the record cannot be written; the trail must not be shown then.
    """
    trail = AuditObject(AuditObjectType.AUDIT_TRAIL, "audit trail")
    store.record(operator_record(AuditAction.AUDIT_READ, [trail], detail))


def record_search(store: "Store") -> None:
    """Records that this user lists or searches data of patients, with the command as typed.

    People can still read while the database cannot be written.
    """
    query = AuditObject(AuditObjectType.QUERY, " ".join(sys.argv[1:])[:_MAX_QUERY])
    _record_if_possible(store, AuditAction.SEARCHED, query)


def record_read(store: "Store", object_type: AuditObjectType, identifier: str) -> None:
    """Records that this user reads about one series, job or work item; as `record_search`."""
    _record_if_possible(store, AuditAction.PATIENT_DATA_READ, AuditObject(object_type, identifier))


def _record_if_possible(store: "Store", action: AuditAction, shown: AuditObject) -> None:
    from node.audit.losses import AuditLosses
    from node.audit.recording import record_if_possible

    record = operator_record(action, [shown])
    record_if_possible(store.record_soon, record, AuditLosses(store.data_dir))
