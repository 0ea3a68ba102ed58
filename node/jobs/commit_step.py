"""The last step of a delivery, where a site wants it: the destination commits itself to keep it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from node.commitment.scu import CommitmentScu
from node.domain.delivery import DeliveryState
from node.domain.errors import Rejected, Transient
from node.domain.failures import Defect, attempt
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt, local_result_file
from node.store import Store
from node.store.commitment.requested import RequestedCommitment

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class CommitStep:
    """Asks for commitment and settles what comes of it.

    `askers` are those of the destinations that are asked. One that does not commit itself within
    `longest`, or says that it cannot, is sent the result again.
    """

    store: Store
    delivering: DeliverStep
    askers: Mapping[str, CommitmentScu]
    longest: timedelta
    now: Callable[[], datetime]

    def ask(self, this: DeliveryAttempt) -> float | None:
        """Ask about a try that the destination took.

        Seconds until the next try; None when there is none, or it depends on the answer.
        """
        delivery = self.store.get_delivery(this.job_id, this.destination)
        asked = self.store.latest_requested_commitment(this.job_id, this.destination)
        job = self.store.get_job(this.job_id)
        if job is None or asked is None or delivery is None:
            return None
        if delivery.state is not DeliveryState.COMMITTING:
            return None
        _LOG.debug("job.stage", job=this.job_id, stage="commit")
        asker, transaction_uid = self.askers[this.destination], asked.transaction_uid

        def ask() -> None:
            with local_result_file(job, self.store.files) as result:
                asker.request_commitment(transaction_uid, result)

        failure = attempt(ask)
        match failure:
            case None:
                return None
            case Rejected() | Transient():
                return self._failed(asked, failure)
            case Defect():
                return self._failed(asked, Transient(failure.message))

    def poll(self) -> Iterator[tuple[DeliveryAttempt, float]]:
        """Settle the requests that are answered or overdue.

        Gives the tries that follow, and in how many seconds each is due.
        """
        for asked in self.store.commitments_to_settle(self.now(), self.longest):
            job_id, destination = asked.job_id, asked.destination
            if asked.answered_at is not None and not asked.failure:
                self.store.record_commitment(job_id, destination, self.now())
                self.store.close_commitment(asked.transaction_uid, self.now())
                self.delivering.finish_if_settled(job_id)
                continue
            wait_s = self._failed(asked, Transient(self._told(asked)))
            delivery = self.store.get_delivery(job_id, destination)
            if wait_s is not None and delivery is not None:
                number = delivery.attempts + 1
                yield DeliveryAttempt(job_id, destination, number, streak=number), wait_s

    def _told(self, asked: RequestedCommitment) -> str:
        if asked.answered_at is None:
            waited_s = self.longest.total_seconds()
            return f"{asked.peer} did not commit itself to the result within {waited_s:g} s"
        return f"{asked.peer} does not commit itself to the result: {asked.failure}"

    def _failed(self, asked: RequestedCommitment, error: Rejected | Transient) -> float | None:
        """Have the result sent again, in so many seconds, or park the delivery."""
        job_id, destination, now = asked.job_id, asked.destination, self.now()
        wait_s = None
        delivery = self.store.get_delivery(job_id, destination)
        if delivery is not None and delivery.state is DeliveryState.COMMITTING:
            if isinstance(error, Transient) and self.delivering.may_retry(job_id, destination):
                wait_s = self.delivering.delay_s(delivery.attempts)
            next_try_at = None if wait_s is None else now + timedelta(seconds=wait_s)
            self.store.record_no_commitment(
                job_id, destination, now, error=str(error), next_try_at=next_try_at
            )
            self.delivering.finish_if_settled(job_id)
        self.store.close_commitment(asked.transaction_uid, now)
        return wait_s
