"""Second step of a job: one delivery per destination, each with its own retries."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from node.delivery.destination import Destination, ResultFile
from node.domain.delivery import Delivery, DeliveryState, Receipt
from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.identifiers import mint_uid
from node.domain.job import Job, JobState, result_identity
from node.domain.retry_policy import RetryPolicy, given_up
from node.jobs.job_completion import JobCompletion
from node.store import Store
from node.store.commitment.requested import RequestedCommitment
from node.store.files import Files

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class DeliveryAttempt:
    """One attempt at one delivery.

    `number` counts all attempts, so that none is made twice. `streak` counts the attempts since
    the last start by a person or a repair; the delay grows with it. Both start at 1.
    """

    job_id: str
    destination: str
    number: int
    streak: int


@dataclass(frozen=True)
class DeliverStep:
    """Delivers a job's result to its destinations. `jitter` is in [0, 1).

    `give_up_after` overrides the age of the policy by destination. `committing` maps destinations
    with storage commitment to the AE title that is asked for it.
    """

    store: Store
    destinations: Mapping[str, Destination]
    policy: RetryPolicy
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    committing: Mapping[str, str] = field(default_factory=dict)
    give_up_after: Mapping[str, timedelta] = field(default_factory=dict)

    def open_attempts(self, job_id: str) -> list[tuple[str, int]]:
        """Returns the destinations that still wait for the result, with the next attempt number."""
        job = self.store.get_job(job_id)
        if job is None or job.state is not JobState.DELIVERING:
            return []
        self.finish_if_settled(job_id)
        return [
            (delivery.destination, delivery.attempts + 1)
            for delivery in self.store.deliveries_of(job_id)
            if delivery.state is DeliveryState.WAITING
        ]

    def run(self, this: DeliveryAttempt) -> float | None:
        """Makes the attempt; returns the seconds until the next one, None if none follows."""
        job = self.store.get_job(this.job_id)
        delivery = self.store.get_delivery(this.job_id, this.destination)
        if job is None or delivery is None or job.state is not JobState.DELIVERING:
            return None
        if delivery.state is DeliveryState.WAITING and delivery.attempts < this.number:
            delivery = self._attempt(job, this)
        self.finish_if_settled(this.job_id)
        if delivery.state is not DeliveryState.WAITING or delivery.next_try_at is None:
            return None
        return max(0.0, (delivery.next_try_at - self.now()).total_seconds())

    def _attempt(self, job: Job, this: DeliveryAttempt) -> Delivery:
        # If the outcome could not be stored, the result would be sent over and over.
        self.store.check_writable()
        _LOG.debug("job.stage", job=job.job_id, stage="deliver")
        outcome = attempt(lambda: self._deliver(job, this.destination))
        now = self.now()
        job_id, destination = this.job_id, this.destination
        match outcome:
            case Receipt() if destination in self.committing:
                request = _commitment_request(this, self.committing[destination], now)
                return self.store.await_commitment(request, outcome.detail)
            case Receipt():
                return self.store.record_receipt(job_id, outcome, now)
            case Transient() if self.may_retry(job_id, destination):
                return self.store.record_failed_delivery(
                    job_id,
                    destination,
                    now,
                    error=str(outcome),
                    next_try_at=now + timedelta(seconds=self.delay_s(this.streak)),
                )
            case Transient():
                age = now - self.store.waiting_since(job_id, destination)
                error = given_up(age, str(outcome))
            case Rejected():
                error = str(outcome)
            case Defect():
                JobCompletion(self.store, self.now).record_defect(job_id, outcome)
                error = outcome.message
        return self.store.park_delivery(job_id, destination, now, error=error)

    def may_retry(self, job_id: str, destination: str) -> bool:
        """Whether the delivery is younger than the age at which it is given up."""
        since = self.store.waiting_since(job_id, destination)
        age = self.give_up_after.get(destination, self.policy.give_up_after)
        return self.now() - since < age

    def _deliver(self, job: Job, name: str) -> Receipt:
        destination = self.destinations.get(name)
        if destination is None:
            raise Transient(f"the configuration no longer has a destination {name!r}")
        with local_result_file(job, self.store.files) as result:
            return destination.deliver(result)

    def delay_s(self, streak: int) -> float:
        """Seconds to wait after `streak` attempts in a row."""
        return self.policy.delay_s(streak, self.jitter())

    def finish_if_settled(self, job_id: str) -> None:
        """Ends a job whose deliveries have all ended."""
        job = self.store.get_job(job_id)
        if job is None or job.state is not JobState.DELIVERING:
            return
        deliveries = self.store.deliveries_of(job_id)
        if any(d.state in {DeliveryState.WAITING, DeliveryState.COMMITTING} for d in deliveries):
            return
        parked = [d for d in deliveries if d.state is DeliveryState.PARKED]
        errors = "; ".join(f"{d.destination}: {d.last_error}" for d in parked)
        completion = JobCompletion(self.store, self.now)
        if parked:
            completion.end(job, JobState.PARKED, f"not delivered to {errors}")
        else:
            completion.end(job, JobState.DELIVERED, "")


@contextmanager
def local_result_file(job: Job, files: Files) -> Iterator[ResultFile]:
    """Provides a local copy of the job's result inside the `with` block.

    Raises:
        Transient: the storage of the files does not answer.
    """
    if job.result_path is None:
        raise AssertionError(f"job {job.job_id} is {job.state} without a result")
    identity = result_identity(job.job_id)
    with files.local_copies([job.result_path]) as (path,):
        yield ResultFile(
            path=path,
            study_instance_uid=job.study_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            sop_instance_uid=identity.sop_instance_uid,
        )


def _commitment_request(this: DeliveryAttempt, peer: str, now: datetime) -> RequestedCommitment:
    """The commitment request of an attempt; deterministic."""
    transaction_uid = mint_uid("transaction", f"{this.job_id}:{this.number}:{this.destination}")
    return RequestedCommitment(transaction_uid, this.job_id, this.destination, peer, now)
