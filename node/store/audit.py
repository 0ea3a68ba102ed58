"""What happened to each series and job, append-only, for people to read."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from node.store.records import Records
from node.store.schema import AUDIT


@dataclass(frozen=True)
class AuditEvent:
    """Something that happened to `subject`: a series by UID, a job by id, or the node."""

    happened_at: datetime
    subject: str
    event: str
    detail: str


class AuditTrail(Records):
    """The trail; nothing in it is ever changed, and no patient is named."""

    def audit(self, now: datetime, subject: str, event: str, detail: str = "") -> None:
        """Appends one event."""
        with self._database.writing() as connection:
            append(connection, now, subject, event, detail)

    def audit_of(self, subject: str) -> tuple[AuditEvent, ...]:
        """Everything that happened to `subject`, oldest first."""
        query = select(AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.event_id)
        with self._database.reading() as connection:
            return tuple(
                AuditEvent(row.happened_at, row.subject, row.event, row.detail)
                for row in connection.execute(query)
            )


def append(
    connection: Connection, now: datetime, subject: str, event: str, detail: str = ""
) -> None:
    """Appends one event within the transaction that it tells of."""
    row = {"happened_at": now, "subject": subject, "event": event, "detail": detail}
    connection.execute(AUDIT.insert().values(row))
