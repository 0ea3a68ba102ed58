"""View models of the page of queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from node.delivery.queue_control import QueueControl
from node.domain.delivery import DeliveryState
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.queues.pause import INFERENCE, DestinationQueue, Pause
from node.domain.queues.selection import DeliveryName, DeliverySelection, OpenDelivery
from node.store import HistoryEvent, Store
from node.store.queues.pauses import QUEUES_SUBJECT
from node.web.console.state_text import (
    PAUSED,
    StateText,
    delivery_state_text,
)

_MAX_ROWS = 50
_MAX_EVENTS = 10


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery in the table of its destination; `what` names its object.

    `accession_number` is empty where the series has none.
    """

    found: OpenDelivery
    state: StateText
    what: str
    next_attempt_at: datetime | None
    accession_number: str

    @property
    def name(self) -> str:
        """The text of its `DeliveryName`."""
        return str(self.found.name)


@dataclass(frozen=True)
class DestinationView:
    """The queue of a destination with the deliveries that are due first."""

    queue: DestinationQueue
    rows: tuple[DeliveryRow, ...]
    is_configured: bool

    @property
    def total(self) -> int:
        """Deliveries that wait or were given up."""
        return self.queue.waiting + self.queue.parked


@dataclass(frozen=True)
class InferenceView:
    """The jobs that wait for a model, those that run next first.

    `accession_numbers` are by Series Instance UID.
    """

    queued: int
    running: int
    oldest_since: datetime | None
    jobs: tuple[Job, ...]
    accession_numbers: Mapping[Uid, str]
    pause: Pause | None


@dataclass(frozen=True)
class QueuesView:
    """All queues, and the latest pauses and ends of pauses."""

    destinations: tuple[DestinationView, ...]
    inference: InferenceView
    events: tuple[HistoryEvent, ...]


@dataclass(frozen=True)
class Question:
    """What a person is asked before deliveries are redirected or discarded.

    `named` are deliveries that were selected one by one. `back` is the page to return to.
    """

    deliveries: tuple[str, ...]
    named: tuple[DeliveryName, ...]
    destination: str
    targets: tuple[str, ...]
    back: str

    @property
    def count(self) -> int:
        """How many deliveries are selected."""
        return len(self.deliveries)


def load_queues(control: QueueControl) -> QueuesView:
    """Returns the page of queues."""
    store = control.store
    return QueuesView(
        destinations=tuple(_destination(control, queue) for queue in control.destination_queues()),
        inference=_inference(store),
        events=tuple(reversed(store.history_of(QUEUES_SUBJECT)[-_MAX_EVENTS:])),
    )


def load_question(control: QueueControl, selection: DeliverySelection, back: str) -> Question:
    """Returns what to ask about the selected deliveries."""
    found = control.store.open_deliveries(selection)
    return Question(
        deliveries=tuple(_description(each) for each in found),
        named=selection.names,
        destination=selection.destination,
        targets=control.targets(selection) if found else (),
        back=back,
    )


def _destination(control: QueueControl, queue: DestinationQueue) -> DestinationView:
    found = control.store.open_deliveries(DeliverySelection(queue.destination), _MAX_ROWS)
    numbers = control.store.accession_numbers({each.series_instance_uid for each in found})
    rows = tuple(_row(each, numbers, is_paused=queue.pause is not None) for each in found)
    return DestinationView(queue, rows, queue.destination in control.settings.destinations)


def _row(found: OpenDelivery, numbers: Mapping[Uid, str], *, is_paused: bool) -> DeliveryRow:
    delivery = found.delivery
    is_held_up = is_paused and delivery.state is DeliveryState.WAITING
    return DeliveryRow(
        found=found,
        state=PAUSED if is_held_up else delivery_state_text(delivery),
        what=delivery.result_object.kind.noun,
        next_attempt_at=None if is_held_up else delivery.next_try_at,
        accession_number=numbers.get(found.series_instance_uid, ""),
    )


def _inference(store: Store) -> InferenceView:
    counts = store.count_jobs()
    jobs = tuple(store.queued_by_turn(_MAX_ROWS))
    return InferenceView(
        queued=counts[JobState.QUEUED],
        running=counts[JobState.RUNNING],
        oldest_since=store.oldest_queued_at(),
        jobs=jobs,
        accession_numbers=store.accession_numbers({job.series_instance_uid for job in jobs}),
        pause=store.pauses().get(INFERENCE),
    )


def _description(found: OpenDelivery) -> str:
    delivery = found.delivery
    what = delivery.result_object.kind.noun
    return f"{what} of job {delivery.job_id[:8]} to {delivery.destination}"
