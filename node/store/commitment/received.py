"""Requests of senders that we commit ourselves to keep what they have sent (PS3.4 J)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, or_, select, update

from node.domain.identifiers import Uid
from node.store.records import Records
from node.store.schema import COMMITMENTS


@dataclass(frozen=True)
class Reference:
    """An instance as another node names it."""

    sop_class_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True)
class CommitmentRequest:
    """What `peer`, an AE title, asked for, and how often we have tried to answer."""

    transaction_uid: Uid
    peer: str
    references: tuple[Reference, ...]
    requested_at: datetime
    attempts: int
    next_try_at: datetime


class Commitments(Records):
    """The requests, answered and not."""

    def request_commitment(
        self, transaction_uid: Uid, peer: str, references: Sequence[Reference], now: datetime
    ) -> None:
        """Keeps a request, to be answered; again for the same transaction changes nothing."""
        row = {
            "transaction_uid": transaction_uid,
            "peer": peer,
            "references": [[one.sop_class_uid, one.sop_instance_uid] for one in references],
            "requested_at": now,
            "attempts": 0,
            "next_try_at": now,
            "outcome": "",
        }
        with self._database.writing() as connection:
            connection.execute(
                self._database.insert(COMMITMENTS).values(row).on_conflict_do_nothing()
            )

    def due_commitments(self, now: datetime, longest: timedelta) -> list[CommitmentRequest]:
        """The requests that are to be answered now, oldest first.

        Among them those that would be due after more than the longest wait: the clock has been
        set back since.
        """
        due = or_(COMMITMENTS.c.next_try_at <= now, COMMITMENTS.c.next_try_at > now + longest)
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
        """Notes a try that failed."""
        self._change(request, attempts=request.attempts + 1, next_try_at=next_try_at, outcome=error)

    def finish_commitment(self, request: CommitmentRequest, now: datetime, outcome: str) -> None:
        """Notes that it was answered, or given up."""
        self._change(request, attempts=request.attempts + 1, finished_at=now, outcome=outcome)

    def commitment_outcome(self, transaction_uid: str) -> str | None:
        """What became of a request in words, empty as long as nothing; None for an unknown one."""
        query = select(COMMITMENTS.c.outcome).where(
            COMMITMENTS.c.transaction_uid == transaction_uid
        )
        with self._database.reading() as connection:
            outcome = connection.execute(query).scalar_one_or_none()
        return None if outcome is None else str(outcome)

    def _change(self, request: CommitmentRequest, **values: object) -> None:
        change = (
            update(COMMITMENTS)
            .where(COMMITMENTS.c.transaction_uid == request.transaction_uid)
            .values(**values)
        )
        with self._database.writing() as connection:
            connection.execute(change)


def _request(row: Row[Any]) -> CommitmentRequest:
    return CommitmentRequest(
        transaction_uid=Uid(row.transaction_uid),
        peer=row.peer,
        references=tuple(Reference(Uid(one), Uid(other)) for one, other in row.references),
        requested_at=row.requested_at,
        attempts=row.attempts,
        next_try_at=row.next_try_at,
    )
