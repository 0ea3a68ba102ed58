"""The history of each series and job, which the console shows; nothing changes an event."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from node.store.repository import Repository
from node.store.schema import HISTORY


@dataclass(frozen=True)
class HistoryEvent:
    """An event about `subject`: a Series Instance UID, a job id, or the node."""

    happened_at: datetime
    subject: str
    event: str
    detail: str


class History(Repository):
    """The history of series, jobs and queues. Events never change and never name a patient."""

    def add_event(self, now: datetime, subject: str, event: str, detail: str = "") -> None:
        """Appends one event."""
        with self._database.writing() as connection:
            append_event(connection, now, subject, event, detail)

    def history_of_all(self, subjects: Collection[str]) -> tuple[HistoryEvent, ...]:
        """Returns the events of these subjects in the order of their times.

        Events of the same time are in the order in which they were recorded.
        """
        query = (
            select(HISTORY)
            .where(HISTORY.c.subject.in_(subjects))
            .order_by(HISTORY.c.happened_at, HISTORY.c.event_id)
        )
        with self._database.reading() as connection:
            return tuple(_event(row) for row in connection.execute(query))

    def history_of(self, subject: str) -> tuple[HistoryEvent, ...]:
        """Returns the events of `subject`, oldest first."""
        query = select(HISTORY).where(HISTORY.c.subject == subject).order_by(HISTORY.c.event_id)
        with self._database.reading() as connection:
            return tuple(_event(row) for row in connection.execute(query))


def _event(row: Row[Any]) -> HistoryEvent:
    return HistoryEvent(row.happened_at, row.subject, row.event, row.detail)


def append_event(
    connection: Connection, now: datetime, subject: str, event: str, detail: str = ""
) -> None:
    """Appends one event in the transaction that makes the change."""
    row = {"happened_at": now, "subject": subject, "event": event, "detail": detail}
    connection.execute(HISTORY.insert().values(row))
