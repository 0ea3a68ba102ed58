"""Storage commitment requests that this node made to destinations (PS3.4 J)."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update

from node.domain.delivery import Delivery, DeliveryKey, DeliveryState
from node.domain.identifiers import Uid
from node.domain.result_objects import ObjectUids
from node.store.jobs.deliveries import Deliveries, delivery_update
from node.store.schema import DELIVERIES, REQUESTED_COMMITMENTS, RESULT_OBJECTS


@dataclass(frozen=True)
class RequestedCommitment:
    """A request for the result of a job; `peer` is the AE title of the destination.

    `key` is that of the delivery. An answered request has failed if `failure` is not empty: it
    says why.
    """

    transaction_uid: Uid
    job_id: str
    key: str
    peer: str
    requested_at: datetime
    answered_at: datetime | None = None
    failure: str = ""


class RequestedCommitments(Deliveries):
    """The requests that this node made, and the deliveries that they concern."""

    def await_commitment(self, request: RequestedCommitment, detail: str) -> Delivery:
        """Records that the destination stored the result (`detail`) and owes a commitment."""
        row = {
            "transaction_uid": request.transaction_uid,
            "job_id": request.job_id,
            "destination": request.key,
            "peer": request.peer,
            "asked_at": request.requested_at,
            "answered_at": None,
            "failure": "",
            "closed_at": None,
        }
        with self._database.writing() as connection:
            connection.execute(
                self._database.insert(REQUESTED_COMMITMENTS)
                .values(row)
                .on_conflict_do_update(index_elements=["transaction_uid"], set_=row)
            )
        return self._change_delivery(
            delivery_update(request.job_id, request.key).values(
                state=DeliveryState.COMMITTING,
                attempts=DELIVERIES.c.attempts + 1,
                last_error="",
                next_try_at=None,
                receipt=detail,
            ),
            (request.job_id, request.key, request.requested_at, "delivery.stored", detail),
        )

    def answer_commitment(
        self,
        transaction_uid: Uid,
        peer: str,
        committed: Collection[str],
        failed: Mapping[str, str],
        now: datetime,
    ) -> bool:
        """Stores the report of `peer`; `failed` maps SOP Instance UIDs to reasons.

        Returns False, and changes nothing, if that peer has no request with this Transaction UID.
        """
        this_request = (
            REQUESTED_COMMITMENTS.c.transaction_uid == transaction_uid,
            REQUESTED_COMMITMENTS.c.peer == peer,
        )
        with self._database.writing() as connection:
            row = connection.execute(
                select(REQUESTED_COMMITMENTS).where(*this_request).with_for_update()
            ).first()
            if row is None:
                return False
            missing = set(_instances(connection, row.job_id, row.destination)) - set(committed)
            failures = [failed.get(uid, "its report leaves it out") for uid in sorted(missing)]
            failure = failures[0] if failures else ""
            values = {"answered_at": now, "failure": failure, "closed_at": None}
            connection.execute(update(REQUESTED_COMMITMENTS).where(*this_request).values(values))
        return True

    def commitments_to_settle(self, now: datetime, timeout: timedelta) -> list[RequestedCommitment]:
        """Returns the open requests that are answered or older than `timeout`, oldest first.

        A request from more than `timeout` in the future is included: the clock has been set back
        since.
        """
        asked_at = REQUESTED_COMMITMENTS.c.asked_at
        to_settle = or_(
            REQUESTED_COMMITMENTS.c.answered_at.is_not(None),
            asked_at <= now - timeout,
            asked_at > now + timeout,
        )
        query = (
            select(REQUESTED_COMMITMENTS)
            .where(REQUESTED_COMMITMENTS.c.closed_at.is_(None), to_settle)
            .order_by(asked_at)
        )
        with self._database.reading() as connection:
            return [_requested_commitment(row) for row in connection.execute(query)]

    def latest_requested_commitment(self, job_id: str, key: str) -> RequestedCommitment | None:
        """Returns the newest request about a delivery."""
        query = (
            select(REQUESTED_COMMITMENTS)
            .where(
                REQUESTED_COMMITMENTS.c.job_id == job_id,
                REQUESTED_COMMITMENTS.c.destination == key,
            )
            .order_by(REQUESTED_COMMITMENTS.c.asked_at.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _requested_commitment(row)

    def close_commitment(self, transaction_uid: Uid, now: datetime) -> None:
        """Records that the node has acted on the answer, or on the missing answer."""
        statement = (
            update(REQUESTED_COMMITMENTS)
            .where(REQUESTED_COMMITMENTS.c.transaction_uid == transaction_uid)
            .values(closed_at=now)
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def record_commitment(self, job_id: str, key: str, now: datetime) -> Delivery:
        """Records that the destination has committed to keep the result. Final."""
        return self._change_delivery(
            delivery_update(job_id, key).values(
                state=DeliveryState.DELIVERED,
                last_error="",
                next_try_at=None,
                receipt=DELIVERIES.c.receipt + ", storage committed",
            ),
            (job_id, key, now, "delivery.committed", ""),
        )

    def record_no_commitment(
        self,
        job_id: str,
        key: str,
        now: datetime,
        *,
        error: str,
        next_try_at: datetime | None,
    ) -> Delivery:
        """Records why the destination has not committed, so that the result is sent again.

        Without `next_try_at` the delivery is parked. Nothing changes if the delivery no longer
        waits for a commitment.
        """
        parked = next_try_at is None
        return self._change_delivery(
            delivery_update(job_id, key)
            .where(DELIVERIES.c.state == DeliveryState.COMMITTING)
            .values(
                state=DeliveryState.PARKED if parked else DeliveryState.WAITING,
                last_error=error,
                next_try_at=next_try_at,
            ),
            (job_id, key, now, "delivery.not_committed", error),
        )


def _instances(connection: Connection, job_id: str, key: str) -> Iterator[Uid]:
    """Yields the SOP Instance UIDs of the object that the delivery sent."""
    result_object = DeliveryKey.parse(key).result_object
    query = select(RESULT_OBJECTS.c.paths).where(
        RESULT_OBJECTS.c.job_id == job_id, RESULT_OBJECTS.c.name == result_object.name
    )
    paths = connection.execute(query).scalar_one_or_none()
    uids = ObjectUids(job_id, result_object)
    for number in range(1, 2 if paths is None else len(paths) + 1):
        yield uids.sop_instance_uid(number)


def _requested_commitment(row: Row[Any]) -> RequestedCommitment:
    return RequestedCommitment(
        transaction_uid=Uid(row.transaction_uid),
        job_id=row.job_id,
        key=row.destination,
        peer=row.peer,
        requested_at=row.asked_at,
        answered_at=row.answered_at,
        failure=row.failure,
    )
