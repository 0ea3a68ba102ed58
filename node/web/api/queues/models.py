"""The bodies of requests and responses about queues."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from node.delivery.queue_control import MAX_REASON
from node.domain.delivery import CHANGEABLE, DeliveryKey, DeliveryState
from node.domain.queues.pause import DestinationQueue, Pause
from node.domain.queues.selection import (
    DeliveryChange,
    DeliveryName,
    DeliverySelection,
    OpenDelivery,
)
from node.domain.result_objects import ResultObject

# PostgreSQL stores no NUL in texts.
_WITHOUT_NUL = r"^[^\x00]*$"
_MAX_ENTRIES = 1000  # SQLite limits the number of values in a query
JobId = Annotated[str, Field(min_length=1, max_length=32, pattern=_WITHOUT_NUL)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_WITHOUT_NUL)]
AnyName = Annotated[str, Field(max_length=200, pattern=_WITHOUT_NUL)]
Reason = Annotated[str, Field(max_length=MAX_REASON, pattern=_WITHOUT_NUL)]
OpenState = Literal["waiting", "parked"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeliveryReference(_Request):
    """A delivery: a job, a destination and an object such as `seg` or `sr`."""

    job_id: JobId
    destination: Name
    object: Name = "seg"

    def name(self) -> DeliveryName:
        """The name of the delivery."""
        key = DeliveryKey(self.destination, ResultObject.parse(self.object))
        return DeliveryName(self.job_id, str(key))

    @model_validator(mode="after")
    def _check_object(self) -> Self:
        ResultObject.parse(self.object)
        return self


class SelectionRequest(_Request):
    """The deliveries to act on: `deliveries`, those of `job_ids`, or with `all` every open one.

    `destination` and `states` narrow the last two.
    """

    deliveries: Annotated[tuple[DeliveryReference, ...], Field(max_length=_MAX_ENTRIES)] = ()
    job_ids: Annotated[tuple[JobId, ...], Field(max_length=_MAX_ENTRIES)] = ()
    destination: AnyName = ""
    states: tuple[OpenState, ...] = ("waiting", "parked")
    all: bool = False

    @model_validator(mode="after")
    def _check_selection(self) -> Self:
        if sum(map(bool, (self.deliveries, self.job_ids, self.all))) != 1:
            raise ValueError("give one of: deliveries, job_ids, all")
        if self.deliveries and (self.destination or len(self.states) < len(CHANGEABLE)):
            raise ValueError("destination and states do not apply to named deliveries")
        return self

    def selection(self) -> DeliverySelection:
        """The selection of the request."""
        return DeliverySelection(
            destination=self.destination,
            states=frozenset(DeliveryState(state) for state in self.states),
            job_ids=self.job_ids,
            names=tuple(reference.name() for reference in self.deliveries),
        )


class DiscardRequest(SelectionRequest):
    """The deliveries to discard, and why."""

    reason: Annotated[Reason, Field(min_length=1)]


class RedirectRequest(SelectionRequest):
    """The deliveries to redirect, and the destination that gets their objects instead."""

    to: Name


class PauseRequest(_Request):
    """Why a queue is paused."""

    reason: Reason = ""


class RefusedChange(BaseModel):
    """A delivery that did not change, and why."""

    job_id: str
    destination: str
    object: str
    reason: str


class ChangesResponse(BaseModel):
    """How many deliveries changed, and which did not."""

    changed: int
    refused: list[RefusedChange]

    @classmethod
    def of(cls, changes: list[DeliveryChange]) -> Self:
        """Sums up the changes."""
        refused = [
            RefusedChange(
                job_id=change.name.job_id,
                destination=change.name.destination,
                object=change.name.result_object.name,
                reason=change.refusal,
            )
            for change in changes
            if change.refusal
        ]
        return cls(changed=len(changes) - len(refused), refused=refused)


class PauseState(BaseModel):
    """Whether a queue is paused; if so, since when, who paused it, where, and why."""

    paused: bool
    paused_at: datetime | None = None
    by: str | None = None
    user: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, pause: Pause | None) -> Self:
        """Describes the pause."""
        if pause is None:
            return cls(paused=False)
        return cls(
            paused=True,
            paused_at=pause.paused_at,
            by=pause.by,
            user=pause.author,
            reason=pause.reason,
        )


class DestinationQueueState(BaseModel):
    """The deliveries that wait for a destination, and those that were given up (`parked`).

    `committing` are sent, and the destination has yet to confirm that it keeps them.
    """

    destination: str
    waiting: int
    parked: int
    committing: int
    oldest_since: datetime | None
    next_attempt_at: datetime | None
    error: str
    pause: PauseState

    @classmethod
    def of(cls, queue: DestinationQueue) -> Self:
        """Describes the queue; a paused one has no next attempt."""
        return cls(
            destination=queue.destination,
            waiting=queue.waiting,
            parked=queue.parked,
            committing=queue.committing,
            oldest_since=queue.oldest_since,
            next_attempt_at=None if queue.pause else queue.next_attempt_at,
            error=queue.error,
            pause=PauseState.of(queue.pause),
        )


class InferenceQueueState(BaseModel):
    """The jobs that wait for a model or run; `oldest_since` is since when one waits."""

    queued: int
    running: int
    oldest_since: datetime | None
    pause: PauseState


class QueuesResponse(BaseModel):
    """All queues of the site."""

    destinations: list[DestinationQueueState]
    inference: InferenceQueueState


class OpenDeliveryResponse(BaseModel):
    """A delivery that waits or was given up."""

    job_id: str
    series_instance_uid: str
    destination: str
    object: str
    state: str
    attempts: int
    waiting_since: datetime
    next_attempt_at: datetime | None
    error: str

    @classmethod
    def of(cls, found: OpenDelivery) -> Self:
        """Describes the delivery."""
        return cls(
            job_id=found.delivery.job_id,
            series_instance_uid=found.series_instance_uid,
            destination=found.delivery.destination,
            object=found.delivery.result_object.name,
            state=found.delivery.state.value,
            attempts=found.delivery.attempts,
            waiting_since=found.waiting_since,
            next_attempt_at=found.delivery.next_try_at,
            error=found.delivery.last_error,
        )
