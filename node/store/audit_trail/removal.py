"""Removes old records from the beginning of the chains, and records that."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.engine import Connection

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.store.audit_trail.chain import (
    ChainedRecord,
    ChainFault,
    ChainHead,
    ChainPoint,
    fault_after,
    removal_detail,
    unconfirmed_removal,
)
from node.store.audit_trail.forwarding import sent_sequence
from node.store.audit_trail.tables import AUDIT_CHAINS, AUDIT_RECORDS
from node.store.audit_trail.trail import append_record, chained_record, locked_head
from node.store.repository import Repository

_R, _C = AUDIT_RECORDS.c, AUDIT_CHAINS.c
# A transaction with more would keep others from writing for too long.
_MAX_REMOVED = 2000


@dataclass(frozen=True)
class RemovedRecords:
    """How many records were removed; `fault` is why the ones after them stay although old."""

    count: int
    fault: ChainFault | None = None


class AuditRemoval(Repository):
    """The end of records of the audit trail."""

    def audit_chains(self) -> list[str]:
        """Returns the names of the chains."""
        with self._database.reading() as connection:
            return list(connection.execute(select(_C.chain).order_by(_C.chain)).scalars())

    def remove_audit_records(
        self, chain: str, before: datetime, now: datetime, *, only_sent: bool = False
    ) -> RemovedRecords:
        """Removes the records at the beginning of a chain that happened before `before`.

        With `only_sent`, those that the syslog server does not have yet stay.
        A call removes at most some thousand. A record with a fault stays, and so do all after it.
        One record in the chain states the last removed one, so that `audit_chain_faults` accepts
        that they are absent.
        """
        with self._database.writing() as connection:
            head = locked_head(self._database, connection, chain)
            sent = sent_sequence(connection, chain) if only_sent else head.last.sequence
            last, fault = _last_removable(connection, head, before, sent)
            count = last.sequence - head.removed.sequence
            if count > 0:
                old = (_R.chain == chain, _R.sequence <= last.sequence)
                connection.execute(delete(AUDIT_RECORDS).where(*old))
                connection.execute(
                    update(AUDIT_CHAINS)
                    .where(_C.chain == chain)
                    .values(removed_sequence=last.sequence, removed_hash=last.hash)
                )
                append_record(self._database, connection, _removal(chain, last, now), chain)
        return RemovedRecords(count, fault)


def _last_removable(
    connection: Connection, head: ChainHead, before: datetime, max_sequence: int
) -> tuple[ChainPoint, ChainFault | None]:
    """Returns the last record that may be removed, and the fault of the one after it, if any."""
    last = head.removed
    fault = unconfirmed_removal(head, _latest_removal(connection, head.chain))
    if fault is not None:
        return last, fault
    end = min(last.sequence + _MAX_REMOVED, max_sequence)
    window = (_R.chain == head.chain, _R.sequence <= end)
    query = select(AUDIT_RECORDS).where(*window).order_by(_R.sequence)
    for record in _read(connection, query):
        fault = fault_after(head.chain, last, record)
        if fault is not None:
            return last, fault
        if record.happened_at >= before:
            break
        last = ChainPoint(record.sequence, record.hash)
    return last, None


def _read(connection: Connection, query: Select[Any]) -> Iterator[ChainedRecord]:
    """Yields the records; nothing but the first is read where the caller needs no other."""
    for part in (query.limit(1), query.offset(1)):
        yield from map(chained_record, connection.execute(part))


def _latest_removal(connection: Connection, chain: str) -> str:
    """The detail of the latest record of a removal; empty without one."""
    query = (
        select(_R.detail)
        .where(_R.chain == chain, _R.action == AuditAction.AUDIT_REMOVED)
        .order_by(_R.sequence.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none() or ""


def _removal(chain: str, removed: ChainPoint, now: datetime) -> AuditRecord:
    return AuditRecord(
        now,
        AuditAction.AUDIT_REMOVED,
        AuditOutcome.SUCCESS,
        AuditActor("segnode", AuditInterface.NODE),
        (AuditObject(AuditObjectType.AUDIT_TRAIL, chain),),
        removal_detail(removed),
    )
