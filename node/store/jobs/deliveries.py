"""Deliveries: one row per job, object and destination.

The column `destination` holds the text of a `DeliveryKey`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Update, delete, select, update

from node.domain.delivery import Delivery, DeliveryState, Receipt
from node.store.audit import append_event
from node.store.repository import Repository
from node.store.schema import DELIVERIES
from node.store.series_index import refresh_index_of_job


class UnknownDelivery(Exception):
    """The job has no delivery with that key."""


class Deliveries(Repository):
    """The state of the delivery of each object to each destination."""

    def add_deliveries(self, job_id: str, keys: Iterable[str], now: datetime) -> None:
        """Adds a delivery that is due now for each key that has none yet."""
        with self._database.writing() as connection:
            for key in keys:
                connection.execute(
                    self._database.insert(DELIVERIES)
                    .values(
                        job_id=job_id,
                        destination=key,
                        state=DeliveryState.WAITING,
                        attempts=0,
                        waiting_since=now,
                        next_try_at=now,
                        last_error="",
                        receipt="",
                    )
                    .on_conflict_do_nothing()
                )

    def keep_deliveries(self, job_id: str, keys: Collection[str]) -> None:
        """Deletes the waiting deliveries of a job that are not among `keys`."""
        with self._database.writing() as connection:
            connection.execute(
                delete(DELIVERIES).where(
                    DELIVERIES.c.job_id == job_id,
                    DELIVERIES.c.state == DeliveryState.WAITING,
                    DELIVERIES.c.destination.not_in(keys),
                )
            )

    def deliveries_of(self, job_id: str) -> tuple[Delivery, ...]:
        """Returns the deliveries of a job, ordered by key."""
        query = (
            select(DELIVERIES)
            .where(DELIVERIES.c.job_id == job_id)
            .order_by(DELIVERIES.c.destination)
        )
        with self._database.reading() as connection:
            return tuple(_delivery(row) for row in connection.execute(query))

    def get_delivery(self, job_id: str, key: str) -> Delivery | None:
        """Returns one delivery, or None if it does not exist."""
        query = select(DELIVERIES).where(
            DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == key
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _delivery(row)

    def waiting_since(self, job_id: str, key: str) -> datetime:
        """Returns when the delivery was added or last retried by a person.

        The time after which the node gives up counts from then.

        Raises:
            UnknownDelivery: the delivery does not exist.
        """
        query = select(DELIVERIES.c.waiting_since).where(
            DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == key
        )
        with self._database.reading() as connection:
            since: datetime | None = connection.execute(query).scalar_one_or_none()
        if since is None:
            raise UnknownDelivery(f"job {job_id} has no delivery {key!r}")
        return since

    def waiting_deliveries(self, limit: int = 100) -> list[Delivery]:
        """Returns the deliveries in state WAITING, next due first."""
        query = (
            select(DELIVERIES)
            .where(DELIVERIES.c.state == DeliveryState.WAITING)
            .order_by(DELIVERIES.c.next_try_at, DELIVERIES.c.job_id, DELIVERIES.c.destination)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def record_failed_delivery(
        self,
        job_id: str,
        key: str,
        now: datetime,
        *,
        error: str,
        next_try_at: datetime,
    ) -> Delivery:
        """Records a failed attempt and when the next is due."""
        return self._change_delivery(
            delivery_update(job_id, key).values(
                state=DeliveryState.WAITING,
                attempts=DELIVERIES.c.attempts + 1,
                last_error=error,
                next_try_at=next_try_at,
            ),
            (job_id, key, now, "delivery.failed", error),
        )

    def record_receipt(self, job_id: str, key: str, receipt: Receipt, now: datetime) -> Delivery:
        """Records that the destination accepted the result. Final."""
        return self._change_delivery(
            delivery_update(job_id, key).values(
                state=DeliveryState.DELIVERED,
                attempts=DELIVERIES.c.attempts + 1,
                last_error="",
                next_try_at=None,
                receipt=receipt.detail,
            ),
            (job_id, key, now, "delivery.delivered", receipt.detail),
        )

    def park_delivery(self, job_id: str, key: str, now: datetime, *, error: str) -> Delivery:
        """Records a failed attempt that only a person can retry."""
        return self._change_delivery(
            delivery_update(job_id, key).values(
                state=DeliveryState.PARKED,
                attempts=DELIVERIES.c.attempts + 1,
                last_error=error,
                next_try_at=None,
            ),
            (job_id, key, now, "delivery.parked", error),
        )

    def _change_delivery(
        self, change: Update, event: tuple[str, str, datetime, str, str]
    ) -> Delivery:
        """Applies a change unless the delivery is DELIVERED, which is final."""
        job_id, key, now, name, detail = event
        with self._database.writing() as connection:
            row = connection.execute(
                change.where(DELIVERIES.c.state != DeliveryState.DELIVERED).returning(DELIVERIES)
            ).first()
            if row is not None:
                append_event(connection, now, job_id, name, f"{key}: {detail}".rstrip(": "))
                refresh_index_of_job(self._database, connection, job_id)
        if row is not None:
            return _delivery(row)
        delivered = self.get_delivery(job_id, key)
        if delivered is None:
            raise UnknownDelivery(f"job {job_id} has no delivery {key!r}")
        return delivered


def delivery_update(job_id: str, key: str) -> Update:
    """Returns an UPDATE of one delivery; the caller adds the values."""
    return update(DELIVERIES).where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == key)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        job_id=row.job_id,
        key=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        last_error=row.last_error,
        receipt=row.receipt,
    )
