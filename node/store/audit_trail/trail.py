"""Appends records to the audit trail, reads them, and verifies the hash chains."""

import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text, union, update
from sqlalchemy.engine import Connection

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditOutcome,
    AuditRecord,
)
from node.store.audit_trail.chain import (
    CHAIN_START,
    ChainedRecord,
    ChainFault,
    ChainHead,
    ChainPoint,
    first_fault,
)
from node.store.audit_trail.tables import AUDIT_CHAINS, AUDIT_RECORDS
from node.store.database import Database
from node.store.repository import Repository

_R, _C = AUDIT_RECORDS.c, AUDIT_CHAINS.c
_BATCH = 500


class AuditRecords(Repository):
    """The audit trail. Records are appended; nothing changes them, and only retention removes any.

    Each host has a chain of its own, so that hosts do not wait for each other.
    """

    def record(self, record: AuditRecord) -> None:
        """Appends one record in a transaction of its own.

        Raises:
            Transient: the record cannot be written.
        """
        with self._database.writing() as connection:
            append_record(self._database, connection, record)

    def record_soon(self, record: AuditRecord) -> None:
        """Appends one record for somebody who waits for a page.

        Raises:
            Transient: the record cannot be written within about two seconds.
        """
        with self._database.writing_soon() as connection:
            append_record(self._database, connection, record)

    def audit_chain_heads(self) -> tuple[ChainHead, ...]:
        """Returns the head that each chain states, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(AUDIT_CHAINS).order_by(_C.chain))
            return tuple(_head(row) for row in rows)

    def audit_chain_faults(self) -> tuple[ChainFault, ...]:
        """Returns the first fault of each chain that has one."""
        with self._database.reading() as connection:
            if not self._database.is_sqlite:  # heads and records of the same moment
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            faults = [
                _first_fault(connection, head) for head in _heads_and_chains_without(connection)
            ]
        return tuple(fault for fault in faults if fault is not None)


def append_record(
    database: Database, connection: Connection, record: AuditRecord, chain: str | None = None
) -> None:
    """Appends one record in the transaction of the change that it is about.

    Without the record, the change does not happen. The chain stays locked until the transaction
    ends: call it last. `chain` defaults to that of this host.
    """
    head = locked_head(database, connection, socket.gethostname() if chain is None else chain)
    chained = _next(head, record)
    connection.execute(AUDIT_RECORDS.insert().values(asdict(chained)))
    connection.execute(
        update(AUDIT_CHAINS)
        .where(_C.chain == head.chain)
        .values(sequence=chained.sequence, hash=chained.hash)
    )


def append_node_record(
    database: Database,
    connection: Connection,
    now: datetime,
    action: AuditAction,
    objects: Sequence[AuditObject],
    *,
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
    detail: str = "",
) -> None:
    """Appends a record of what the node itself does; see `append_record`."""
    actor = AuditActor("segnode", AuditInterface.NODE)
    append_record(database, connection, AuditRecord(now, action, outcome, actor, objects, detail))


def locked_head(database: Database, connection: Connection, chain: str) -> ChainHead:
    """Returns the head of a chain, which no other transaction changes meanwhile."""
    new = {"chain": chain, "sequence": CHAIN_START.sequence, "hash": CHAIN_START.hash}
    connection.execute(database.insert(AUDIT_CHAINS).values(new).on_conflict_do_nothing())
    query = select(AUDIT_CHAINS).where(_C.chain == chain).with_for_update()
    return _head(connection.execute(query).one())


def _head(row: Row[Any]) -> ChainHead:
    removed = ChainPoint(row.removed_sequence, row.removed_hash)
    return ChainHead(row.chain, ChainPoint(row.sequence, row.hash), removed)


def _next(head: ChainHead, record: AuditRecord) -> ChainedRecord:
    actor = record.actor
    return ChainedRecord(
        chain=head.chain,
        sequence=head.last.sequence + 1,
        happened_at=record.happened_at,
        action=record.action.value,
        outcome=record.outcome.value,
        actor=_storable(actor.name),
        interface=actor.interface.value,
        address=_storable(actor.address),
        objects=tuple((each.type.value, _storable(each.identifier)) for each in record.objects),
        detail=_storable(record.detail),
        change=_storable(record.change),
        previous_hash=head.last.hash,
    ).hashed()


def _storable(value: str) -> str:
    """Escapes what PostgreSQL cannot store; senders choose some of these texts."""
    return value.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _heads_and_chains_without(connection: Connection) -> list[ChainHead]:
    """Returns the heads; a chain whose head was removed has one without records."""
    stated = {row.chain: _head(row) for row in connection.execute(select(AUDIT_CHAINS))}
    names = connection.execute(union(select(_C.chain), select(_R.chain))).scalars()
    return [stated.get(name, ChainHead(name, CHAIN_START)) for name in sorted(names)]


def _first_fault(connection: Connection, head: ChainHead) -> ChainFault | None:
    query = select(AUDIT_RECORDS).where(_R.chain == head.chain).order_by(_R.sequence)
    with connection.execute(query.execution_options(yield_per=_BATCH)) as rows:
        return first_fault(head, (chained_record(row) for row in rows))


def chained_record(row: Row[Any]) -> ChainedRecord:
    """Returns the record of a row. Bytes, which SQLite takes for a text, become a text."""
    fields: dict[str, Any] = {
        key: str(value) if isinstance(value, bytes) else value
        for key, value in row._asdict().items()
    }
    return ChainedRecord(**fields)
