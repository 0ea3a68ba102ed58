"""Deliveries: one row per job, object and destination.

The column `destination` holds the text of a `DeliveryKey`. The row of a discarded delivery has the
state `delivered` and a receipt of its own: earlier versions, which know no such state, then neither
send it again nor count it as arrived.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, and_, delete, select, update

from node.domain.audit.records import AuditAction, AuditObject, AuditObjectType, AuditOutcome
from node.domain.delivery import REPLACED, Delivery, DeliveryKey, DeliveryState, Receipt
from node.store.audit_trail.trail import append_node_record
from node.store.history import append_event
from node.store.repository import Repository
from node.store.schema import DELIVERIES
from node.store.series_index import refresh_index_of_job

# The receipt in the row of a discarded delivery starts with this; the reason follows.
_DISCARDED_RECEIPT = f"{REPLACED}discarded: "
# Events that show that a destination has the object.
_ARRIVALS = {"delivery.stored", "delivery.delivered"}
# Attempts between are no outcome.
_AUDITED = {
    "delivery.stored": (AuditAction.DELIVERED, AuditOutcome.SUCCESS),
    "delivery.delivered": (AuditAction.DELIVERED, AuditOutcome.SUCCESS),
    "delivery.parked": (AuditAction.DELIVERED, AuditOutcome.SERIOUS_FAILURE),
    "delivery.committed": (AuditAction.COMMITTED, AuditOutcome.SUCCESS),
    "delivery.not_committed": (AuditAction.COMMITTED, AuditOutcome.SERIOUS_FAILURE),
}

IS_DISCARDED: ColumnElement[bool] = and_(
    DELIVERIES.c.state == DeliveryState.DELIVERED,
    DELIVERIES.c.receipt.startswith(_DISCARDED_RECEIPT, autoescape=True),
)


class UnknownDelivery(Exception):
    """The job has no delivery with that key."""


class Deliveries(Repository):
    """The state of the delivery of each object to each destination."""

    def add_deliveries(self, job_id: str, keys: Iterable[str], now: datetime) -> None:
        """Adds a delivery that is due now for each key that has none yet."""
        with self._database.writing() as connection:
            self._add_deliveries(connection, job_id, keys, now)

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
            return tuple(delivery_from_row(row) for row in connection.execute(query))

    def get_delivery(self, job_id: str, key: str) -> Delivery | None:
        """Returns one delivery, or None if it does not exist."""
        query = select(DELIVERIES).where(
            DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == key
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else delivery_from_row(row)

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

    def record_replaced(
        self, job_id: str, key: str, fallbacks: Iterable[str], receipt: Receipt, now: datetime
    ) -> Delivery:
        """Records that the destination does not accept the object and gets others instead.

        A delivery that was discarded meanwhile is replaced by nothing.
        """
        with self._database.writing() as connection:
            current = delivery_in(connection, job_id, key)
            if current is not None and current.state is not DeliveryState.DISCARDED:
                # They are added first: a job without open deliveries ends.
                self._add_deliveries(connection, job_id, fallbacks, now)
        return self.record_receipt(job_id, key, receipt, now)

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

    def _add_deliveries(
        self, connection: Connection, job_id: str, keys: Iterable[str], now: datetime
    ) -> None:
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

    def _change_delivery(
        self, change: Update, event: tuple[str, str, datetime, str, str]
    ) -> Delivery:
        """Applies a change unless the delivery is DELIVERED or DISCARDED, which are final.

        An object that arrived although its delivery was discarded is recorded as an event.
        """
        job_id, key, now, name, detail = event
        title = DeliveryKey.parse(key).title
        with self._database.writing() as connection:
            row = connection.execute(
                change.where(DELIVERIES.c.state != DeliveryState.DELIVERED).returning(DELIVERIES)
            ).first()
            if row is not None:
                append_event(connection, now, job_id, name, f"{title}: {detail}".rstrip(": "))
                refresh_index_of_job(self._database, connection, job_id)
                self._audit(connection, event)
                return delivery_from_row(row)
            final = delivery_in(connection, job_id, key)
            if final is None:
                raise UnknownDelivery(f"job {job_id} has no delivery {key!r}")
            if final.state is DeliveryState.DISCARDED and name in _ARRIVALS:
                late = f"{title}: {detail}; it arrived after the delivery was discarded"
                append_event(connection, now, job_id, name, late)
            return final

    def _audit(self, connection: Connection, event: tuple[str, str, datetime, str, str]) -> None:
        """Records that a delivery has arrived, is committed, or has failed in either."""
        job_id, key, now, name, detail = event
        if name not in _AUDITED:
            return
        action, outcome = _AUDITED[name]
        objects = (
            AuditObject(AuditObjectType.JOB, job_id),
            AuditObject(AuditObjectType.DELIVERY, key),
        )
        append_node_record(
            self._database, connection, now, action, objects, outcome=outcome, detail=detail
        )


def delivery_in(connection: Connection, job_id: str, key: str) -> Delivery | None:
    """Returns one delivery, which no other transaction changes meanwhile; None without one."""
    query = select(DELIVERIES).where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == key)
    row = connection.execute(query.with_for_update()).first()
    return None if row is None else delivery_from_row(row)


def delivery_update(job_id: str, key: str) -> Update:
    """Returns an UPDATE of one delivery; the caller adds the values."""
    return update(DELIVERIES).where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == key)


def discarded_values(reason: str) -> dict[str, object]:
    """Returns the columns of a delivery that is discarded for this reason."""
    return {
        "state": DeliveryState.DELIVERED,
        "receipt": f"{_DISCARDED_RECEIPT}{reason}",
        "next_try_at": None,
    }


def delivery_from_row(row: Row[Any]) -> Delivery:
    """Returns the delivery of a row of the table."""
    state, receipt = DeliveryState(row.state), row.receipt
    if state is DeliveryState.DELIVERED and receipt.startswith(_DISCARDED_RECEIPT):
        state, receipt = DeliveryState.DISCARDED, receipt.removeprefix(_DISCARDED_RECEIPT)
    return Delivery(
        job_id=row.job_id,
        key=row.destination,
        state=state,
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        last_error=row.last_error,
        receipt=receipt,
    )
