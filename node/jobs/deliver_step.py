"""Second step of a job: one delivery per object and destination, each with its own retries."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from node.delivery.destination import Destination, ResultFile, UnreadableResult
from node.delivery.destination_health import DestinationHealthRecorder
from node.domain.delivery import (
    REPLACED,
    Delivery,
    DeliveryKey,
    DeliveryState,
    Receipt,
    discarded_text,
    not_delivered,
    removed_destination,
)
from node.domain.error_classification import Defect, attempt
from node.domain.errors import NotAccepted, Rejected, RejectionReason, Transient
from node.domain.identifiers import mint_uid
from node.domain.job import Job, JobState
from node.domain.monitoring.destination_health import DeliveryOutcome
from node.domain.queues.pause import Queue
from node.domain.result_objects import ResultObject, WantedObjects
from node.domain.retry_policy import RetryPolicy, given_up
from node.jobs.job_completion import JobCompletion
from node.store import Store
from node.store.commitment.requested import RequestedCommitment

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class DeliveryAttempt:
    """One attempt at one delivery; `key` is the text of a `DeliveryKey`.

    `number` counts all attempts, so that none is made twice. `streak` counts the attempts since
    the last start by a person or a repair; the delay grows with it. Both start at 1.
    """

    job_id: str
    key: str
    number: int
    streak: int

    @property
    def destination(self) -> str:
        """The name of the destination."""
        return DeliveryKey.parse(self.key).destination


@dataclass(frozen=True)
class DeliverStep:
    """Delivers a job's objects to its destinations. `jitter` is in [0, 1).

    `wanted` names the objects by destination; one that it leaves out gets the SEG.
    `give_up_after` overrides the age of the policy by destination. `committing` maps destinations
    with storage commitment to the AE title that is asked for it.
    """

    store: Store
    destinations: Mapping[str, Destination]
    policy: RetryPolicy
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    wanted: Mapping[str, WantedObjects] = field(default_factory=dict)
    committing: Mapping[str, str] = field(default_factory=dict)
    give_up_after: Mapping[str, timedelta] = field(default_factory=dict)

    def open_attempts(self, job_id: str) -> list[tuple[str, int]]:
        """Returns the keys of the deliveries that still wait, with the next attempt number.

        Those to a paused destination are left out; the end of the pause starts them.
        """
        job = self.store.get_job(job_id)
        if job is None or job.state is not JobState.DELIVERING:
            return []
        self.finish_if_settled(job_id)
        pauses = self.store.pauses()
        return [
            (delivery.key, delivery.attempts + 1)
            for delivery in self.store.deliveries_of(job_id)
            if delivery.state is DeliveryState.WAITING
            and Queue.of_destination(delivery.destination) not in pauses
        ]

    def run(self, this: DeliveryAttempt, claimant: str) -> float | None:
        """Makes the attempt; returns the seconds until the next one, None if none follows.

        The workflow `claimant` makes none if another one does, or if the destination is paused.
        """
        job = self.store.get_job(this.job_id)
        delivery = self.store.get_delivery(this.job_id, this.key)
        if job is None or delivery is None or job.state is not JobState.DELIVERING:
            return None
        if delivery.state is DeliveryState.WAITING and delivery.attempts < this.number:
            # If the outcome could not be stored, the result would be sent over and over.
            self.store.check_writable()
            if not self.store.claim_attempt(this.job_id, this.key, this.number, claimant):
                return None
            delivery = self._attempt(job, this)
        self.finish_if_settled(this.job_id)
        if delivery.state is not DeliveryState.WAITING or delivery.next_try_at is None:
            return None
        return max(0.0, (delivery.next_try_at - self.now()).total_seconds())

    def _attempt(self, job: Job, this: DeliveryAttempt) -> Delivery:
        _LOG.debug("job.stage", job=job.job_id, stage="deliver")
        key = DeliveryKey.parse(this.key)
        outcome = attempt(lambda: self._deliver(job, key))
        delivery = self._record_outcome(job, this, outcome)
        self._record_health(key.destination, outcome)
        return delivery

    def _record_outcome(
        self, job: Job, this: DeliveryAttempt, outcome: Receipt | Rejected | Transient | Defect
    ) -> Delivery:
        key = DeliveryKey.parse(this.key)
        now, job_id = self.now(), this.job_id
        match outcome:
            case Receipt() if key.destination in self.committing:
                request = _commitment_request(this, self.committing[key.destination], now)
                return self.store.await_commitment(request, outcome.detail)
            case Receipt():
                return self.store.record_receipt(job_id, this.key, outcome, now)
            case NotAccepted() if fallback := self._fallback(job, key):
                names = " and ".join(each.result_object.name for each in fallback)
                receipt = Receipt(key.destination, f"{REPLACED}{names} sent instead: {outcome}")
                keys = [str(each) for each in fallback]
                return self.store.record_replaced(job_id, this.key, keys, receipt, now)
            case Transient() if self.may_retry(job_id, this.key):
                return self.store.record_failed_delivery(
                    job_id,
                    this.key,
                    now,
                    error=str(outcome),
                    next_try_at=now + timedelta(seconds=self.delay_s(this.streak)),
                )
            case Transient():
                age = now - self.store.waiting_since(job_id, this.key)
                error = given_up(age, str(outcome))
            case Rejected():
                error = str(outcome)
            case Defect():
                JobCompletion(self.store, self.now).record_defect(job_id, outcome)
                error = outcome.message
        return self.store.park_delivery(job_id, this.key, now, error=error)

    def may_retry(self, job_id: str, key: str) -> bool:
        """Whether the delivery is younger than the age at which it is given up.

        A delivery to a paused destination does not age.
        """
        since = self.store.waiting_since(job_id, key)
        destination = DeliveryKey.parse(key).destination
        age = self.give_up_after.get(destination, self.policy.give_up_after)
        pause = self.store.pauses().get(Queue.of_destination(destination))
        until = self.now() if pause is None else min(self.now(), pause.paused_at)
        return until - since < age

    def _deliver(self, job: Job, key: DeliveryKey) -> Receipt:
        destination = self.destinations.get(key.destination)
        if destination is None:
            raise Transient(removed_destination(key.destination))
        with _readable_instances(self.store, job, key.result_object) as instances:
            return destination.deliver(instances)

    @property
    def health(self) -> DestinationHealthRecorder:
        """Records how the destinations answer."""
        return DestinationHealthRecorder(self.store, self.now)

    def _record_health(
        self, destination: str, outcome: Receipt | Rejected | Transient | Defect
    ) -> None:
        """Records what the outcome of an attempt says about the destination."""
        match outcome:
            case Receipt():
                is_committing = destination in self.committing
                answer = None if is_committing else DeliveryOutcome.DELIVERED
                self.health.record_answer(destination, answer)
            case UnreadableResult() | MissingObject() | Defect():
                pass
            case Transient():
                self.health.record_failure(destination, str(outcome))
            case Rejected():
                self.health.record_answer(destination, DeliveryOutcome.REFUSED)

    def open_fallbacks(self, this: DeliveryAttempt) -> list[tuple[str, int]]:
        """Returns the deliveries that replace this one and have not been attempted.

        They are given by key, each with the number of the job's run.
        """
        key = DeliveryKey.parse(this.key)
        wanted = self.wanted.get(key.destination, WantedObjects())
        run_number = self.store.run_number(this.job_id)
        return [
            (delivery.key, run_number)
            for delivery in self.store.deliveries_of(this.job_id)
            if delivery.destination == key.destination
            and delivery.result_object in wanted.fallback
            and delivery.state is DeliveryState.WAITING
            and delivery.attempts == 0
        ]

    def _fallback(self, job: Job, key: DeliveryKey) -> tuple[DeliveryKey, ...]:
        """Returns the deliveries that replace one that is not accepted; those it is not one of."""
        wanted = self.wanted.get(key.destination, WantedObjects())
        if key.result_object in wanted.fallback:
            return ()
        produced = {stored.result_object for stored in self.store.objects_of(job)}
        return tuple(
            DeliveryKey(key.destination, each) for each in wanted.fallback if each in produced
        )

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
        errors = not_delivered(deliveries)
        discarded = discarded_text(deliveries)
        # A person may retry one of them meanwhile.
        end = partial(JobCompletion(self.store, self.now).end, job, when_settled=True)
        if job.is_refusal:
            undelivered = f" T{errors.removeprefix('t')}." if errors else ""
            end(JobState.REFUSED, f"{job.reason}{undelivered}")
        elif errors:
            end(JobState.PARKED, errors)
        elif discarded and not any(d.has_arrived for d in deliveries):
            end(JobState.DISCARDED, discarded)
        else:
            end(JobState.DELIVERED, discarded)


class MissingObject(Rejected):
    """The job has not produced the object that is to be delivered."""

    def __init__(self, message: str) -> None:
        super().__init__(RejectionReason.INVALID_INSTANCE, message)


@contextmanager
def _readable_instances(
    store: Store, job: Job, result_object: ResultObject
) -> Iterator[list[ResultFile]]:
    """As `local_instances`, but storage that does not answer raises UnreadableResult."""
    with ExitStack() as stack:
        try:
            instances = stack.enter_context(local_instances(store, job, result_object))
        except Transient as error:
            raise UnreadableResult(str(error)) from error
        yield instances


@contextmanager
def local_instances(
    store: Store, job: Job, result_object: ResultObject
) -> Iterator[list[ResultFile]]:
    """Provides local copies of the instances of a job's object inside the `with` block.

    Raises:
        Transient: the storage of the files does not answer.
        MissingObject: the job has not produced this object.
    """
    stored = store.get_object(job, result_object)
    if stored is None:
        raise MissingObject(
            f"the job has no {result_object.kind.noun}, because the destination did not ask for it "
            "when the job ran: run the job again",
        )
    with store.files.local_copies(stored.paths) as paths:
        yield [
            ResultFile(path, job.study_instance_uid, stored.uids.series_instance_uid, uid)
            for path, uid in zip(paths, stored.sop_instance_uids, strict=True)
        ]


def _commitment_request(this: DeliveryAttempt, peer: str, now: datetime) -> RequestedCommitment:
    """The commitment request of an attempt; deterministic."""
    transaction_uid = mint_uid("transaction", f"{this.job_id}:{this.number}:{this.key}")
    return RequestedCommitment(transaction_uid, this.job_id, this.key, peer, now)
