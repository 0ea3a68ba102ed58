"""View models of the deliveries of a job."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.domain.delivery import Delivery, DeliveryState, removed_destination
from node.domain.job import Job, JobState, is_final
from node.domain.queues.pause import Queue
from node.domain.queues.selection import DeliveryName, why_unchangeable
from node.domain.result_objects import ResultKind
from node.store import Store
from node.web.console.state_text import (
    PAUSED,
    StateText,
    delivery_state_text,
)

# The deliveries of jobs in these states are read one by one. For the others the list of
# destinations is sufficient, unless the job has a reason: then some got nothing.
_STATES_WITH_OPEN_DELIVERIES = {JobState.DELIVERING, JobState.PARKED, JobState.SUPERSEDED}
_URGENCY = (
    DeliveryState.PARKED,
    DeliveryState.WAITING,
    DeliveryState.COMMITTING,
    DeliveryState.DISCARDED,
    DeliveryState.DELIVERED,
)


@dataclass(frozen=True)
class DeliveryView:
    """The delivery of one object to one destination; `what` is empty for the SEG.

    `name` is the text of its `DeliveryName` if a person can act on it, else empty.
    """

    destination: str
    state: StateText
    what: str = ""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str = ""
    receipt: str = ""
    name: str = ""


def delivery_views(
    store: Store, job: Job, configured: Collection[str], *, all_deliveries: bool
) -> tuple[DeliveryView, ...]:
    """Returns the deliveries of a job: with `all_deliveries` each, else one per destination.

    `configured` are the destinations that the configuration has.
    """
    is_partial = job.state is JobState.DELIVERED and bool(job.reason)
    if all_deliveries or is_partial or job.is_refusal or job.state in _STATES_WITH_OPEN_DELIVERIES:
        found = store.deliveries_of(job.job_id)
        # The deliveries of an ended job do not wait: a refused job has no result to send.
        over = is_final(job.state)
        shown = [d for d in found if not (over and d.state is DeliveryState.WAITING)]
        pauses = store.pauses()
        return _views(job, shown if all_deliveries else _most_urgent(shown), pauses, configured)
    if job.state is JobState.DELIVERED:
        done = delivery_state_text(_delivered(job.job_id))
        return tuple(DeliveryView(name, done) for name in job.destinations)
    return ()


def _most_urgent(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Returns one delivery for each destination: the one that is furthest from its end."""
    ordered = sorted(deliveries, key=lambda d: _URGENCY.index(d.state), reverse=True)
    return list({d.destination: d for d in ordered}.values())


def _delivered(job_id: str) -> Delivery:
    return Delivery(job_id, "", DeliveryState.DELIVERED, 1, None, "", "")


def _views(
    job: Job,
    deliveries: Sequence[Delivery],
    pauses: Collection[Queue],
    configured: Collection[str],
) -> tuple[DeliveryView, ...]:
    return tuple(
        _view(
            job,
            d,
            is_paused=Queue.of_destination(d.destination) in pauses,
            is_configured=d.destination in configured,
        )
        for d in deliveries
    )


def _view(job: Job, delivery: Delivery, *, is_paused: bool, is_configured: bool) -> DeliveryView:
    is_waiting = delivery.state is DeliveryState.WAITING
    is_discarded = delivery.state is DeliveryState.DISCARDED
    kind = delivery.result_object.kind
    can_change = not why_unchangeable(job, delivery)
    error = "" if is_discarded else delivery.last_error
    if can_change and not is_configured:
        error = removed_destination(delivery.destination)
    return DeliveryView(
        destination=delivery.destination,
        state=PAUSED if is_waiting and is_paused else delivery_state_text(delivery),
        what="" if kind is ResultKind.SEG else kind.noun,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_try_at if is_waiting and not is_paused else None,
        last_error=error,
        receipt=delivery.receipt,
        name=str(DeliveryName(delivery.job_id, delivery.key)) if can_change else "",
    )
