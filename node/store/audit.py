"""The append-only audit trail of each series and job."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from node.store.repository import Repository
from node.store.schema import AUDIT


@dataclass(frozen=True)
class AuditEvent:
    """An event about `subject`: a Series Instance UID, a job id, or the node."""

    happened_at: datetime
    subject: str
    event: str
    detail: str


class AuditTrail(Repository):
    """The audit trail. Events never change and never name a patient."""

    def audit(self, now: datetime, subject: str, event: str, detail: str = "") -> None:
        """Appends one event."""
        with self._database.writing() as connection:
            append_event(connection, now, subject, event, detail)

    def audit_of_all(self, subjects: Collection[str]) -> tuple[AuditEvent, ...]:
        """Returns the events of these subjects in the order of their times.

        Events of the same time are in the order in which they were recorded.
        """
        query = (
            select(AUDIT)
            .where(AUDIT.c.subject.in_(subjects))
            .order_by(AUDIT.c.happened_at, AUDIT.c.event_id)
        )
        with self._database.reading() as connection:
            return tuple(_event(row) for row in connection.execute(query))

    def audit_of(self, subject: str) -> tuple[AuditEvent, ...]:
        """Returns the events of `subject`, oldest first."""
        query = select(AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.event_id)
        with self._database.reading() as connection:
            return tuple(_event(row) for row in connection.execute(query))


def _event(row: Row[Any]) -> AuditEvent:
    return AuditEvent(row.happened_at, row.subject, row.event, row.detail)


def append_event(
    connection: Connection, now: datetime, subject: str, event: str, detail: str = ""
) -> None:
    """Appends one event in the transaction that makes the change."""
    row = {"happened_at": now, "subject": subject, "event": event, "detail": detail}
    connection.execute(AUDIT.insert().values(row))
