"""Storage commitment requests that senders made to this node (PS3.4 J)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Update, or_, select, update

from node.domain.audit.records import AuditAction, AuditObject, AuditObjectType, AuditOutcome
from node.domain.identifiers import Uid
from node.domain.texts.numbers import instances
from node.store.audit_trail.trail import append_node_record
from node.store.repository import Repository
from node.store.schema import COMMITMENTS


@dataclass(frozen=True)
class ReferencedInstance:
    """SOP Class and SOP Instance UID of an instance in a Referenced SOP Sequence."""

    sop_class_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True)
class CommitmentRequest:
    """A request of `peer` (an AE title); `attempts` counts the attempts to send the result."""

    transaction_uid: Uid
    peer: str
    references: tuple[ReferencedInstance, ...]
    requested_at: datetime
    attempts: int
    next_try_at: datetime


class ReceivedCommitments(Repository):
    """The received requests, answered and unanswered."""

    def request_commitment(
        self,
        transaction_uid: Uid,
        peer: str,
        references: Sequence[ReferencedInstance],
        now: datetime,
    ) -> None:
        """Stores a request; a second one with the same Transaction UID changes nothing."""
        row = {
            "transaction_uid": transaction_uid,
            "peer": peer,
            "references": [[item.sop_class_uid, item.sop_instance_uid] for item in references],
            "requested_at": now,
            "attempts": 0,
            "next_try_at": now,
            "outcome": "",
        }
        with self._database.writing() as connection:
            connection.execute(
                self._database.insert(COMMITMENTS).values(row).on_conflict_do_nothing()
            )

    def due_commitments(self, now: datetime, max_delay: timedelta) -> list[CommitmentRequest]:
        """Returns the unanswered requests that are due, oldest first.

        A request that is due later than `max_delay` from now is included: the clock has been set
        back since.
        """
        due = or_(COMMITMENTS.c.next_try_at <= now, COMMITMENTS.c.next_try_at > now + max_delay)
        query = (
            select(COMMITMENTS)
            .where(COMMITMENTS.c.finished_at.is_(None), due)
            .order_by(COMMITMENTS.c.requested_at)
        )
        with self._database.reading() as connection:
            return [_request(row) for row in connection.execute(query)]

    def postpone_commitment(
        self, request: CommitmentRequest, next_try_at: datetime, error: str
    ) -> None:
        """Records a failed attempt to send the result, and when the next is due."""
        with self._database.writing() as connection:
            connection.execute(_update(request, next_try_at=next_try_at, outcome=error))

    def finish_commitment(self, request: CommitmentRequest, now: datetime, outcome: str) -> None:
        """Records that the result was sent: `outcome` says what of it is committed."""
        self._finish(request, now, outcome, AuditOutcome.SUCCESS)

    def give_up_commitment(self, request: CommitmentRequest, now: datetime, error: str) -> None:
        """Records that the result could not be sent."""
        self._finish(request, now, f"given up: {error}", AuditOutcome.SERIOUS_FAILURE)

    def _finish(
        self, request: CommitmentRequest, now: datetime, outcome: str, audited: AuditOutcome
    ) -> None:
        peer = AuditObject(AuditObjectType.CONNECTION, request.peer)
        with self._database.writing() as connection:
            connection.execute(_update(request, finished_at=now, outcome=outcome))
            append_node_record(
                self._database,
                connection,
                now,
                AuditAction.COMMITTED,
                (peer,),
                outcome=audited,
                detail=f"asked for {instances(len(request.references))}: {outcome}",
            )

    def commitment_outcome(self, transaction_uid: str) -> str | None:
        """Returns the outcome in words, empty while there is none; None for an unknown request."""
        query = select(COMMITMENTS.c.outcome).where(
            COMMITMENTS.c.transaction_uid == transaction_uid
        )
        with self._database.reading() as connection:
            outcome = connection.execute(query).scalar_one_or_none()
        return None if outcome is None else str(outcome)


def _update(request: CommitmentRequest, **values: object) -> Update:
    """Counts an attempt to send the result, and sets these columns."""
    return (
        update(COMMITMENTS)
        .where(COMMITMENTS.c.transaction_uid == request.transaction_uid)
        .values(attempts=request.attempts + 1, **values)
    )


def _request(row: Row[Any]) -> CommitmentRequest:
    return CommitmentRequest(
        transaction_uid=Uid(row.transaction_uid),
        peer=row.peer,
        references=tuple(
            ReferencedInstance(Uid(sop_class), Uid(instance))
            for sop_class, instance in row.references
        ),
        requested_at=row.requested_at,
        attempts=row.attempts,
        next_try_at=row.next_try_at,
    )
