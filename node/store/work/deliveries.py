"""Deliveries: one row for each job and destination."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Update, select, update

from node.domain.delivery import Delivery, DeliveryState, Receipt
from node.store.audit import append
from node.store.records import Records
from node.store.schema import DELIVERIES


class UnknownDelivery(Exception):
    """The job has no delivery to that destination."""


class Deliveries(Records):
    """The way of each result to each destination."""

    def add_deliveries(self, job_id: str, names: Iterable[str], now: datetime) -> None:
        """Makes a delivery due now for each destination that the job has none for yet."""
        with self._database.writing() as connection:
            for name in names:
                connection.execute(
                    self._database.insert(DELIVERIES)
                    .values(
                        job_id=job_id,
                        destination=name,
                        state=DeliveryState.WAITING,
                        attempts=0,
                        waiting_since=now,
                        next_try_at=now,
                        last_error="",
                        receipt="",
                    )
                    .on_conflict_do_nothing()
                )

    def deliveries_of(self, job_id: str) -> tuple[Delivery, ...]:
        """The job's deliveries by destination."""
        query = (
            select(DELIVERIES)
            .where(DELIVERIES.c.job_id == job_id)
            .order_by(DELIVERIES.c.destination)
        )
        with self._database.reading() as connection:
            return tuple(_delivery(row) for row in connection.execute(query))

    def get_delivery(self, job_id: str, destination: str) -> Delivery | None:
        """One delivery, or None where there is none."""
        query = select(DELIVERIES).where(
            DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == destination
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _delivery(row)

    def waiting_since(self, job_id: str, destination: str) -> datetime:
        """When the delivery was made, or last retried by a person: its give-up age counts from it.

        Raises:
            UnknownDelivery: there is none.
        """
        query = select(DELIVERIES.c.waiting_since).where(
            DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == destination
        )
        with self._database.reading() as connection:
            since: datetime | None = connection.execute(query).scalar_one_or_none()
        if since is None:
            raise UnknownDelivery(f"job {job_id} has no delivery to {destination!r}")
        return since

    def waiting_deliveries(self, limit: int = 100) -> list[Delivery]:
        """The deliveries still to be made, the next due first."""
        query = (
            select(DELIVERIES)
            .where(DELIVERIES.c.state == DeliveryState.WAITING)
            .order_by(DELIVERIES.c.next_try_at, DELIVERIES.c.job_id, DELIVERIES.c.destination)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def next_due_delivery(self) -> Delivery | None:
        """The delivery that is tried next."""
        return next(iter(self.waiting_deliveries(limit=1)), None)

    def record_attempt(
        self,
        job_id: str,
        destination: str,
        now: datetime,
        *,
        error: str,
        next_try_at: datetime,
    ) -> Delivery:
        """Notes that an attempt failed with `error` and when the next is due."""
        return self._change_delivery(
            change_of(job_id, destination).values(
                state=DeliveryState.WAITING,
                attempts=DELIVERIES.c.attempts + 1,
                last_error=error,
                next_try_at=next_try_at,
            ),
            (job_id, destination, now, "delivery.failed", error),
        )

    def record_receipt(self, job_id: str, receipt: Receipt, now: datetime) -> Delivery:
        """Notes that the destination took the result. Final."""
        return self._change_delivery(
            change_of(job_id, receipt.destination).values(
                state=DeliveryState.DELIVERED,
                attempts=DELIVERIES.c.attempts + 1,
                last_error="",
                next_try_at=None,
                receipt=receipt.detail,
            ),
            (job_id, receipt.destination, now, "delivery.delivered", receipt.detail),
        )

    def park_delivery(
        self, job_id: str, destination: str, now: datetime, *, error: str
    ) -> Delivery:
        """Notes that an attempt failed with `error` and that no other follows by itself."""
        return self._change_delivery(
            change_of(job_id, destination).values(
                state=DeliveryState.PARKED,
                attempts=DELIVERIES.c.attempts + 1,
                last_error=error,
                next_try_at=None,
            ),
            (job_id, destination, now, "delivery.parked", error),
        )

    def retry_delivery(self, job_id: str, destination: str, now: datetime) -> Delivery:
        """Makes a delivery due now, with its give-up age counted anew."""
        return self._change_delivery(
            change_of(job_id, destination).values(
                state=DeliveryState.WAITING, waiting_since=now, next_try_at=now
            ),
            (job_id, destination, now, "delivery.retried", ""),
        )

    def _change_delivery(
        self, change: Update, event: tuple[str, str, datetime, str, str]
    ) -> Delivery:
        """Applies a change unless the delivery is DELIVERED, which nothing changes any more."""
        job_id, destination, now, name, detail = event
        with self._database.writing() as connection:
            row = connection.execute(
                change.where(DELIVERIES.c.state != DeliveryState.DELIVERED).returning(DELIVERIES)
            ).first()
            if row is not None:
                append(connection, now, job_id, name, f"{destination}: {detail}".rstrip(": "))
        if row is not None:
            return _delivery(row)
        delivered = self.get_delivery(job_id, destination)
        if delivered is None:
            raise UnknownDelivery(f"job {job_id} has no delivery to {destination!r}")
        return delivered


def change_of(job_id: str, destination: str) -> Update:
    """A change of one delivery, its values still to be given."""
    return update(DELIVERIES).where(
        DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == destination
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        job_id=row.job_id,
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        last_error=row.last_error,
        receipt=row.receipt,
    )
