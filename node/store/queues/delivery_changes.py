"""What people do to deliveries: retry now, redirect, discard.

Each change is one transaction with its event in the history, and marks the delivery with
`requested_at`. The worker then acts on it and removes the mark, so that a crash at any moment loses
no request and repeats none.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from node.domain.delivery import (
    Delivery,
    DeliveryKey,
    DeliveryState,
    not_delivered,
)
from node.domain.job import JobState
from node.domain.queues.selection import (
    DeliveryChange,
    DeliveryName,
    why_unchangeable,
)
from node.store.history import append_event
from node.store.jobs.deliveries import (
    Deliveries,
    delivery_from_row,
    delivery_in,
    delivery_update,
    discarded_values,
)
from node.store.jobs.jobs import Jobs
from node.store.schema import DELIVERIES, JOBS
from node.store.series_index import refresh_index

# Deliveries in one transaction: many, as each waits for the disk; few, as others wait for it.
_BATCH = 100

_Act = Callable[[Connection, Delivery], None]


@dataclass(frozen=True)
class DeliveryRequest:
    """A delivery on which the worker has to act after a person did."""

    delivery: Delivery
    job_state: JobState
    requested_at: datetime

    @property
    def name(self) -> DeliveryName:
        """Identifies the delivery."""
        return DeliveryName(self.delivery.job_id, self.delivery.key)


class DeliveryChanges(Deliveries, Jobs):
    """Changes deliveries that wait or were given up; each method says what became of each.

    An attempt that runs meanwhile ends, but its outcome changes no discarded delivery.
    """

    def retry_deliveries(
        self, names: Sequence[DeliveryName], now: datetime, by: str
    ) -> list[DeliveryChange]:
        """Makes the deliveries due now.

        The age at which they are given up counts from now where they were given up, and goes on
        where they wait.
        """

        def retry(connection: Connection, delivery: Delivery) -> None:
            _make_due(connection, delivery, now)
            detail = f"{delivery.key}: by {by}"
            append_event(connection, now, delivery.job_id, "delivery.retried", detail)
            self._deliver_again(connection, delivery.job_id, now)

        return self._change_each(names, retry)

    def discard_deliveries(
        self, names: Sequence[DeliveryName], now: datetime, by: str, reason: str
    ) -> list[DeliveryChange]:
        """Discards the deliveries; the result stays stored, and its job ends with the others."""

        def discard(connection: Connection, delivery: Delivery) -> None:
            _discard(connection, delivery, reason, now)
            detail = f"{delivery.key}: by {by}: {reason}"
            append_event(connection, now, delivery.job_id, "delivery.discarded", detail)
            self._settle_parked(connection, delivery.job_id, now)

        return self._change_each(names, discard)

    def redirect_deliveries(
        self, names: Sequence[DeliveryName], destination: str, now: datetime, by: str
    ) -> list[DeliveryChange]:
        """Discards the deliveries and delivers the same objects to another destination."""

        def redirect(connection: Connection, delivery: Delivery) -> None:
            _discard(connection, delivery, f"redirected to {destination}", now)
            key = str(DeliveryKey(destination, delivery.result_object))
            self._add_deliveries(connection, delivery.job_id, [key], now)
            added = delivery_in(connection, delivery.job_id, key)
            has_ended = {DeliveryState.PARKED, DeliveryState.DISCARDED}
            if added is not None and (added.state in has_ended or added.attempts == 0):
                _make_due(connection, added, now)
            detail = f"{delivery.key}: to {destination}, by {by}"
            append_event(connection, now, delivery.job_id, "delivery.redirected", detail)
            self._deliver_again(connection, delivery.job_id, now)

        return self._change_each(names, redirect)

    def delivery_requests(self, limit: int) -> list[DeliveryRequest]:
        """Returns the deliveries on which the worker has to act, the oldest request first."""
        query = (
            select(DELIVERIES, JOBS.c.state.label("job_state"))
            .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
            .where(DELIVERIES.c.requested_at.is_not(None))
            .order_by(DELIVERIES.c.requested_at)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [
                DeliveryRequest(delivery_from_row(row), JobState(row.job_state), row.requested_at)
                for row in connection.execute(query)
            ]

    def close_request(self, request: DeliveryRequest) -> None:
        """Records that the worker has acted; a later request for the delivery stays."""
        statement = (
            delivery_update(request.name.job_id, request.name.key)
            .where(DELIVERIES.c.requested_at == request.requested_at)
            .values(requested_at=None)
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def _change_each(self, names: Sequence[DeliveryName], act: _Act) -> list[DeliveryChange]:
        """Acts on each delivery that can be changed; a batch is one transaction."""
        changes = []
        ordered = sorted(set(names))  # so that two transactions never wait for each other
        for batch in _batches(ordered):
            with self._database.writing() as connection:
                changed: set[str] = set()
                for name in batch:
                    job_query = select(JOBS).where(JOBS.c.job_id == name.job_id)
                    row = connection.execute(job_query.with_for_update()).first()
                    job = None if row is None else self._job(row)
                    delivery = delivery_in(connection, name.job_id, name.key)
                    refusal = why_unchangeable(job, delivery)
                    if job is not None and delivery is not None and not refusal:
                        act(connection, delivery)
                        changed.add(job.series_instance_uid)
                    changes.append(DeliveryChange(name, refusal))
                refresh_index(self._database, connection, changed)
        return changes

    def _deliver_again(self, connection: Connection, job_id: str, now: datetime) -> None:
        """Continues a PARKED job with the deliveries that are due."""
        query = select(JOBS.c.state).where(JOBS.c.job_id == job_id)
        if connection.execute(query).scalar_one() == JobState.PARKED:
            values: dict[str, object] = {
                "state": JobState.DELIVERING,
                "updated_at": now,
                "reason": "",
            }
            self._change_job(connection, job_id, values, now)

    def _settle_parked(self, connection: Connection, job_id: str, now: datetime) -> None:
        """Ends a PARKED job without parked deliveries; else its reason names those that remain."""
        query = select(DELIVERIES).where(DELIVERIES.c.job_id == job_id)
        remaining = not_delivered(
            delivery_from_row(row)
            for row in connection.execute(query.order_by(DELIVERIES.c.destination))
        )
        if not remaining:
            self._deliver_again(connection, job_id, now)  # the worker ends it
            return
        connection.execute(
            update(JOBS)
            .where(JOBS.c.job_id == job_id, JOBS.c.state == JobState.PARKED)
            .values(reason=remaining)
        )


def _make_due(connection: Connection, delivery: Delivery, now: datetime) -> None:
    values: dict[str, object] = {
        "state": DeliveryState.WAITING,
        "next_try_at": now,
        "requested_at": now,
        "receipt": "" if delivery.state is DeliveryState.DISCARDED else delivery.receipt,
    }
    if delivery.state is not DeliveryState.WAITING:
        values["waiting_since"] = now
    connection.execute(delivery_update(delivery.job_id, delivery.key).values(values))


def _discard(connection: Connection, delivery: Delivery, reason: str, now: datetime) -> None:
    values = discarded_values(reason) | {"requested_at": now}
    connection.execute(delivery_update(delivery.job_id, delivery.key).values(values))


def _batches(names: Sequence[DeliveryName]) -> Iterator[Sequence[DeliveryName]]:
    for first in range(0, len(names), _BATCH):
        yield names[first : first + _BATCH]
