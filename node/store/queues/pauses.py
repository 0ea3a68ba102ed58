"""Paused queues, the same for every host of the site."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update
from sqlalchemy.engine import Connection

from node.domain.delivery import DeliveryState, keys_of
from node.domain.queues.pause import INFERENCE, Pause, Queue, QueueKind
from node.domain.queues.selection import Interface
from node.store.history import append_event
from node.store.repository import Repository
from node.store.schema import DELIVERIES, PAUSED_QUEUES

# The subject of the events in the history.
QUEUES_SUBJECT = "queues"
_NO_TIME = timedelta(0)
_OPEN = (DeliveryState.WAITING, DeliveryState.COMMITTING)


class Pauses(Repository):
    """Pauses and resumes queues."""

    def pause_queue(self, pause: Pause) -> bool:
        """Pauses a queue; returns False, and changes nothing, if it is paused already."""
        queue = pause.queue
        with self._database.writing() as connection:
            added = connection.execute(
                self._database.insert(PAUSED_QUEUES)
                .values(
                    kind=queue.kind,
                    destination=queue.destination,
                    paused_at=pause.paused_at,
                    paused_by=pause.by,
                    reason=pause.reason,
                    user_name=pause.user,
                )
                .on_conflict_do_nothing()
                .returning(PAUSED_QUEUES.c.kind)
            ).first()
            if added is None:
                return False
            detail = f"{queue.title}, by {pause.author}: {pause.reason}".rstrip(": ")
            append_event(connection, pause.paused_at, QUEUES_SUBJECT, "queue.paused", detail)
        return True

    def resume_queue(self, queue: Queue, now: datetime, by: str) -> bool:
        """Resumes a queue and makes its deliveries due; returns False if it was not paused.

        The time of the pause does not count for the age at which a delivery is given up.
        """
        ended = (
            delete(PAUSED_QUEUES)
            .where(
                PAUSED_QUEUES.c.kind == queue.kind,
                PAUSED_QUEUES.c.destination == queue.destination,
            )
            .returning(PAUSED_QUEUES.c.paused_at)
        )
        with self._database.writing() as connection:
            paused_at = connection.execute(ended).scalar_one_or_none()
            if paused_at is None:
                return False
            if queue.kind is QueueKind.DESTINATION:
                _make_due(connection, queue.destination, paused_at, now)
            append_event(
                connection, now, QUEUES_SUBJECT, "queue.resumed", f"{queue.title}, by {by}"
            )
        return True

    def pauses(self) -> dict[Queue, Pause]:
        """Returns the queues that are paused, those that are paused longest first."""
        query = select(PAUSED_QUEUES).order_by(PAUSED_QUEUES.c.paused_at)
        with self._database.reading() as connection:
            found = [_pause(row) for row in connection.execute(query)]
        return {pause.queue: pause for pause in found}

    def is_inference_paused(self) -> bool:
        """Whether no inference may start."""
        return INFERENCE in self.pauses()


def _make_due(connection: Connection, destination: str, paused_at: datetime, now: datetime) -> None:
    """Makes the waiting deliveries due now, and moves the start of their age by the pause."""
    is_open = (
        DELIVERIES.c.destination.in_(keys_of(destination)),
        DELIVERIES.c.state.in_(_OPEN),
    )
    query = select(DELIVERIES.c.job_id, DELIVERIES.c.destination, DELIVERIES.c.waiting_since).where(
        *is_open
    )
    moved = [
        {
            "of_job": row.job_id,
            "of_key": row.destination,
            # The clock may have been set back in the meantime.
            "since": max(row.waiting_since, now - max(paused_at - row.waiting_since, _NO_TIME)),
        }
        for row in connection.execute(query.with_for_update())
    ]
    if moved:
        statement = (
            update(DELIVERIES)
            .where(
                DELIVERIES.c.job_id == bindparam("of_job"),
                DELIVERIES.c.destination == bindparam("of_key"),
            )
            .values(waiting_since=bindparam("since"))
        )
        connection.execute(statement, moved)
    connection.execute(
        update(DELIVERIES)
        .where(
            DELIVERIES.c.destination.in_(keys_of(destination)),
            DELIVERIES.c.state == DeliveryState.WAITING,
        )
        .values(next_try_at=now, requested_at=now)
    )


def _pause(row: Row[Any]) -> Pause:
    return Pause(
        Queue(QueueKind(row.kind), row.destination),
        row.paused_at,
        Interface(row.paused_by),
        row.reason,
        row.user_name,
    )
