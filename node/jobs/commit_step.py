"""Last step of a delivery, if configured: storage commitment by the destination."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from node.commitment.scu import CommitmentScu
from node.domain.delivery import DeliveryKey, DeliveryState
from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.monitoring.destination_health import DeliveryOutcome, DeliveryStage
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt, local_instances
from node.store import Store
from node.store.commitment.requested import RequestedCommitment

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class CommitStep:
    """Requests storage commitment and settles the answers.

    `requesters` are by destination. A destination that does not commit within `timeout`, or
    answers that it cannot, is sent the result again.
    """

    store: Store
    deliver_step: DeliverStep
    requesters: Mapping[str, CommitmentScu]
    timeout: timedelta
    now: Callable[[], datetime]

    def request(self, this: DeliveryAttempt) -> float | None:
        """Requests commitment for a successful attempt.

        Returns the seconds until the next attempt; None if there is none, or if it depends on the
        answer.
        """
        delivery = self.store.get_delivery(this.job_id, this.key)
        requested = self.store.latest_requested_commitment(this.job_id, this.key)
        job = self.store.get_job(this.job_id)
        if job is None or requested is None or delivery is None:
            return None
        if delivery.state is not DeliveryState.COMMITTING:
            return None
        _LOG.debug("job.stage", job=this.job_id, stage="commit")
        requester = self.requesters[this.destination]
        transaction_uid = requested.transaction_uid

        def request() -> None:
            key = DeliveryKey.parse(this.key)
            with local_instances(self.store, job, key.result_object) as instances:
                requester.request_commitment(transaction_uid, instances)

        failure = attempt(request)
        match failure:
            case None:
                return None
            case Rejected() | Transient():
                return self._send_again(requested, failure)
            case Defect():
                return self._send_again(requested, Transient(failure.message))

    def poll(self) -> Iterator[tuple[DeliveryAttempt, float]]:
        """Settles the requests that are answered or overdue.

        Yields the attempts that follow, with the seconds until each is due.
        """
        for requested in self.store.commitments_to_settle(self.now(), self.timeout):
            job_id, key = requested.job_id, requested.key
            if requested.answered_at is not None and not requested.failure:
                self.store.record_commitment(job_id, key, self.now())
                self.store.close_commitment(requested.transaction_uid, self.now())
                self.deliver_step.finish_if_settled(job_id)
                self.deliver_step.health.record_answer(
                    DeliveryKey.parse(key).destination,
                    DeliveryOutcome.DELIVERED,
                    DeliveryStage.COMMIT,
                )
                continue
            wait_s = self._send_again(requested, Transient(self._error(requested)))
            delivery = self.store.get_delivery(job_id, key)
            if wait_s is not None and delivery is not None:
                number = delivery.attempts + 1
                yield DeliveryAttempt(job_id, key, number, streak=number), wait_s

    def _error(self, requested: RequestedCommitment) -> str:
        if requested.answered_at is None:
            waited_s = self.timeout.total_seconds()
            return f"the peer {requested.peer} did not commit to the result within {waited_s:g} s"
        return f"the peer {requested.peer} does not commit to the result: {requested.failure}"

    def _send_again(
        self, requested: RequestedCommitment, error: Rejected | Transient
    ) -> float | None:
        """Returns the seconds until the result is sent again; parks the delivery if it never is."""
        job_id, key, now = requested.job_id, requested.key, self.now()
        wait_s = None
        delivery = self.store.get_delivery(job_id, key)
        if delivery is not None and delivery.state is DeliveryState.COMMITTING:
            if isinstance(error, Transient) and self.deliver_step.may_retry(job_id, key):
                wait_s = self.deliver_step.delay_s(delivery.attempts)
            next_try_at = None if wait_s is None else now + timedelta(seconds=wait_s)
            self.store.record_no_commitment(
                job_id, key, now, error=str(error), next_try_at=next_try_at
            )
            self.deliver_step.finish_if_settled(job_id)
            self.deliver_step.health.record_failure(
                delivery.destination, str(error), DeliveryStage.COMMIT
            )
        self.store.close_commitment(requested.transaction_uid, now)
        return wait_s
