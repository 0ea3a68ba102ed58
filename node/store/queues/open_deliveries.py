"""Deliveries on which a person can act: those that wait, and those that were given up."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, tuple_

from node.domain.delivery import DeliveryKey, DeliveryState, keys_of
from node.domain.identifiers import Uid
from node.domain.job import HELD, Job, JobState
from node.domain.queues.pause import DestinationQueue, Queue
from node.domain.queues.selection import DeliveryName, DeliverySelection, OpenDelivery
from node.store.jobs.deliveries import delivery_from_row
from node.store.jobs.job_rows import JobRows
from node.store.queues.pauses import Pauses
from node.store.schema import DELIVERIES, JOBS

# SQLite limits the number of values in a query.
_NAMES_PER_QUERY = 200

# The same condition as in `why_unchangeable`.
_IS_OPEN: ColumnElement[bool] = or_(
    and_(
        JOBS.c.state == JobState.DELIVERING,
        DELIVERIES.c.state.in_([DeliveryState.WAITING, DeliveryState.PARKED]),
    ),
    and_(
        JOBS.c.state == JobState.PARKED,
        JOBS.c.result_path.is_not(None),
        ~JOBS.c.reason.startswith(HELD, autoescape=True),
        DELIVERIES.c.state == DeliveryState.PARKED,
    ),
)


class OpenDeliveries(Pauses, JobRows):
    """Finds deliveries by destination, state, job or name, and sums them up by destination."""

    def open_deliveries(
        self, selection: DeliverySelection, limit: int | None = None
    ) -> list[OpenDelivery]:
        """Returns the selected deliveries on which a person can act, next due first."""
        if not selection.names:
            return self._open_deliveries(_query(selection).limit(limit))
        found: list[OpenDelivery] = []
        for first in range(0, len(selection.names), _NAMES_PER_QUERY):
            some = replace(selection, names=selection.names[first : first + _NAMES_PER_QUERY])
            found += self._open_deliveries(_query(some))
        return found[:limit]

    def destination_queues(self, names: Iterable[str]) -> tuple[DestinationQueue, ...]:
        """Returns the queue of each of these destinations, and others with deliveries or a pause.

        Other destinations are those that the configuration no longer has.
        """
        query = (
            select(
                DELIVERIES.c.destination,
                DELIVERIES.c.state,
                func.count().label("number"),
                func.min(DELIVERIES.c.waiting_since).label("oldest_since"),
                func.min(DELIVERIES.c.next_try_at).label("next_attempt_at"),
                func.max(DELIVERIES.c.last_error).label("error"),
            )
            .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
            .where(_IS_OPEN)
            .group_by(DELIVERIES.c.destination, DELIVERIES.c.state)
            .order_by(DELIVERIES.c.destination)
        )
        committing = (
            select(DELIVERIES.c.destination, func.count().label("number"))
            .where(DELIVERIES.c.state == DeliveryState.COMMITTING)
            .group_by(DELIVERIES.c.destination)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            sent = connection.execute(committing).all()
        pauses = self.pauses()
        by_name: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            by_name[DeliveryKey.parse(row.destination).destination].append(row)
        unconfirmed: dict[str, int] = defaultdict(int)
        for row in sent:
            unconfirmed[DeliveryKey.parse(row.destination).destination] += row.number
        paused = [queue.destination for queue in pauses if queue.destination]
        return tuple(
            replace(
                _summed_up(name, by_name[name]),
                committing=unconfirmed[name],
                pause=pauses.get(Queue.of_destination(name)),
            )
            for name in dict.fromkeys((*names, *by_name, *unconfirmed, *paused))
        )

    def queued_by_turn(self, limit: int) -> list[Job]:
        """Returns the jobs that wait for the model, those that run next first."""
        query = (
            select(JOBS)
            .where(JOBS.c.state == JobState.QUEUED)
            .order_by(JOBS.c.priority.desc(), JOBS.c.turn, JOBS.c.created_at)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [self._job(row) for row in connection.execute(query)]

    def _open_deliveries(self, query: Select[tuple[Any, ...]]) -> list[OpenDelivery]:
        with self._database.reading() as connection:
            return [
                OpenDelivery(
                    delivery_from_row(row), row.waiting_since, Uid(row.series_instance_uid)
                )
                for row in connection.execute(query)
            ]


def _query(selection: DeliverySelection) -> Select[tuple[Any, ...]]:
    query = (
        select(DELIVERIES, JOBS.c.series_instance_uid)
        .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
        .where(_IS_OPEN, DELIVERIES.c.state.in_(selection.states))
        .order_by(DELIVERIES.c.next_try_at, DELIVERIES.c.job_id, DELIVERIES.c.destination)
    )
    if selection.destination:
        query = query.where(DELIVERIES.c.destination.in_(keys_of(selection.destination)))
    if selection.job_ids:
        query = query.where(DELIVERIES.c.job_id.in_(selection.job_ids))
    if selection.names:
        query = query.where(_is_named(selection.names))
    return query


def _is_named(names: Collection[DeliveryName]) -> ColumnElement[bool]:
    pair = tuple_(DELIVERIES.c.job_id, DELIVERIES.c.destination)
    return pair.in_([(name.job_id, name.key) for name in names])


def _summed_up(name: str, rows: Iterable[Row[Any]]) -> DestinationQueue:
    """Returns the queue of a destination from the sums of its objects."""
    queue = DestinationQueue(name)
    for row in rows:
        is_waiting = row.state == DeliveryState.WAITING
        queue = replace(
            queue,
            waiting=queue.waiting + (row.number if is_waiting else 0),
            parked=queue.parked + (0 if is_waiting else row.number),
            oldest_since=_earlier(queue.oldest_since, row.oldest_since),
            next_attempt_at=_earlier(queue.next_attempt_at, row.next_attempt_at),
            error=row.error or queue.error,
        )
    return queue


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
