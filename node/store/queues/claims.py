"""Claims of attempts: of several workflows for one delivery, one alone makes the attempt."""

from sqlalchemy import exists, or_, select

from node.domain.delivery import DeliveryKey, DeliveryState
from node.domain.queues.pause import QueueKind
from node.store.jobs.deliveries import delivery_update
from node.store.repository import Repository
from node.store.schema import DELIVERIES, PAUSED_QUEUES


class AttemptClaims(Repository):
    """Which workflow makes the next attempt at a delivery.

    A claim ends with the outcome of its attempt, because that counts the attempt.
    """

    def claim_attempt(self, job_id: str, key: str, number: int, claimant: str) -> bool:
        """Claims attempt `number` at a delivery; the same claimant may claim it again.

        Returns False, and changes nothing, if the delivery does not wait, if the attempt has been
        made or belongs to another claimant, or if the destination is paused.
        """
        is_paused = exists().where(
            PAUSED_QUEUES.c.kind == QueueKind.DESTINATION,
            PAUSED_QUEUES.c.destination == DeliveryKey.parse(key).destination,
        )
        is_free = or_(
            DELIVERIES.c.claimed_number.is_(None),
            DELIVERIES.c.claimed_number <= DELIVERIES.c.attempts,
            DELIVERIES.c.claimed_by == claimant,
        )
        statement = (
            delivery_update(job_id, key)
            .where(
                DELIVERIES.c.state == DeliveryState.WAITING,
                DELIVERIES.c.attempts < number,
                is_free,
                ~is_paused,
            )
            .values(claimed_by=claimant, claimed_number=number)
        )
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def claimant_of(self, job_id: str, key: str) -> str | None:
        """Returns who has claimed an attempt without an outcome so far."""
        query = select(DELIVERIES.c.claimed_by).where(
            DELIVERIES.c.job_id == job_id,
            DELIVERIES.c.destination == key,
            DELIVERIES.c.claimed_number > DELIVERIES.c.attempts,
        )
        with self._database.reading() as connection:
            claimant: str | None = connection.execute(query).scalar_one_or_none()
        return claimant

    def release_claim(self, job_id: str, key: str, claimant: str) -> None:
        """Releases the claim of a claimant that no longer works."""
        statement = (
            delivery_update(job_id, key)
            .where(DELIVERIES.c.claimed_by == claimant)
            .values(claimed_by=None, claimed_number=None)
        )
        with self._database.writing() as connection:
            connection.execute(statement)
