"""What we have asked destinations to commit themselves to (PS3.4 J), and what they answered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, or_, select, update

from node.domain.delivery import Delivery, DeliveryState
from node.domain.identifiers import Uid
from node.domain.job import result_identity
from node.store.schema import ASKED_COMMITMENTS, DELIVERIES
from node.store.work.deliveries import Deliveries, change_of


@dataclass(frozen=True)
class AskedCommitment:
    """One request for the result of a job; `peer` is the AE title that is asked.

    It has failed where `failure` says why, once there is an answer.
    """

    transaction_uid: Uid
    job_id: str
    destination: str
    peer: str
    asked_at: datetime
    answered_at: datetime | None = None
    failure: str = ""


class AskedCommitments(Deliveries):
    """The requests, and the deliveries that they are about."""

    def await_commitment(self, asked: AskedCommitment, detail: str) -> Delivery:
        """Notes that the destination took the result, as `detail` says, and is to commit itself."""
        row = {
            "transaction_uid": asked.transaction_uid,
            "job_id": asked.job_id,
            "destination": asked.destination,
            "peer": asked.peer,
            "asked_at": asked.asked_at,
            "answered_at": None,
            "failure": "",
            "closed_at": None,
        }
        with self._database.writing() as connection:
            connection.execute(
                self._database.insert(ASKED_COMMITMENTS)
                .values(row)
                .on_conflict_do_update(index_elements=["transaction_uid"], set_=row)
            )
        return self._change_delivery(
            change_of(asked.job_id, asked.destination).values(
                state=DeliveryState.COMMITTING,
                attempts=DELIVERIES.c.attempts + 1,
                last_error="",
                next_try_at=None,
                receipt=detail,
            ),
            (asked.job_id, asked.destination, asked.asked_at, "delivery.stored", detail),
        )

    def answer_commitment(
        self,
        transaction_uid: Uid,
        peer: str,
        committed: Collection[str],
        failed: Mapping[str, str],
        now: datetime,
    ) -> bool:
        """Keeps what `peer` reports of instances, by their UIDs; `failed` has the reasons.

        False, and nothing changed, where that peer was not asked under this transaction.
        """
        same = (
            ASKED_COMMITMENTS.c.transaction_uid == transaction_uid,
            ASKED_COMMITMENTS.c.peer == peer,
        )
        with self._database.writing() as connection:
            row = connection.execute(
                select(ASKED_COMMITMENTS).where(*same).with_for_update()
            ).first()
            if row is None:
                return False
            uid = result_identity(row.job_id).sop_instance_uid
            failure = "" if uid in committed else failed.get(uid, "its report leaves it out")
            values = {"answered_at": now, "failure": failure, "closed_at": None}
            connection.execute(update(ASKED_COMMITMENTS).where(*same).values(values))
        return True

    def commitments_to_settle(self, now: datetime, longest: timedelta) -> list[AskedCommitment]:
        """The requests that are answered, or older than `longest`; oldest first.

        Among them those of the future: the clock has been set back since.
        """
        asked_at = ASKED_COMMITMENTS.c.asked_at
        ripe = or_(
            ASKED_COMMITMENTS.c.answered_at.is_not(None),
            asked_at <= now - longest,
            asked_at > now + longest,
        )
        query = (
            select(ASKED_COMMITMENTS)
            .where(ASKED_COMMITMENTS.c.closed_at.is_(None), ripe)
            .order_by(asked_at)
        )
        with self._database.reading() as connection:
            return [_asked(row) for row in connection.execute(query)]

    def asked_commitment(self, job_id: str, destination: str) -> AskedCommitment | None:
        """The newest request about a delivery."""
        query = (
            select(ASKED_COMMITMENTS)
            .where(
                ASKED_COMMITMENTS.c.job_id == job_id,
                ASKED_COMMITMENTS.c.destination == destination,
            )
            .order_by(ASKED_COMMITMENTS.c.asked_at.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _asked(row)

    def close_commitment(self, transaction_uid: Uid, now: datetime) -> None:
        """Notes that what follows from a request has been done."""
        change = (
            update(ASKED_COMMITMENTS)
            .where(ASKED_COMMITMENTS.c.transaction_uid == transaction_uid)
            .values(closed_at=now)
        )
        with self._database.writing() as connection:
            connection.execute(change)

    def record_commitment(self, job_id: str, destination: str, now: datetime) -> Delivery:
        """Notes that the destination has committed itself to keep the result. Final."""
        return self._change_delivery(
            change_of(job_id, destination).values(
                state=DeliveryState.DELIVERED,
                last_error="",
                next_try_at=None,
                receipt=DELIVERIES.c.receipt + ", storage committed",
            ),
            (job_id, destination, now, "delivery.committed", ""),
        )

    def record_no_commitment(
        self,
        job_id: str,
        destination: str,
        now: datetime,
        *,
        error: str,
        next_try_at: datetime | None,
    ) -> Delivery:
        """Notes why it has not, so that the result is sent again; parked without a next try.

        Nothing changes where the commitment is not waited for any more.
        """
        parked = next_try_at is None
        return self._change_delivery(
            change_of(job_id, destination)
            .where(DELIVERIES.c.state == DeliveryState.COMMITTING)
            .values(
                state=DeliveryState.PARKED if parked else DeliveryState.WAITING,
                last_error=error,
                next_try_at=next_try_at,
            ),
            (job_id, destination, now, "delivery.not_committed", error),
        )


def _asked(row: Row[Any]) -> AskedCommitment:
    return AskedCommitment(
        transaction_uid=Uid(row.transaction_uid),
        job_id=row.job_id,
        destination=row.destination,
        peer=row.peer,
        asked_at=row.asked_at,
        answered_at=row.answered_at,
        failure=row.failure,
    )
