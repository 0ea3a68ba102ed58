"""REST routes of queues: what waits, retry, redirect, discard, pause and resume."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from node.delivery.queue_control import QueueControl
from node.domain.delivery import CHANGEABLE, DeliveryState
from node.domain.job import JobState
from node.domain.queues.pause import INFERENCE, Queue
from node.domain.queues.selection import DeliverySelection
from node.web.acting_user import CurrentUser
from node.web.api.queues.models import (
    AnyName,
    ChangesResponse,
    DestinationQueueState,
    DiscardRequest,
    InferenceQueueState,
    OpenDeliveryResponse,
    OpenState,
    PauseRequest,
    PauseState,
    QueuesResponse,
    RedirectRequest,
    SelectionRequest,
)
from node.web.api.serialization import Limit
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api/queues")
DestinationName = Annotated[AnyName, Query(description="Of this destination.")]
StateOfDelivery = Annotated[OpenState | None, Query(description="In this state.")]


def _control(settings: SiteSettings, store: SiteStore, user: CurrentUser, now: Now) -> QueueControl:
    return QueueControl(settings, store, user.interface, user.named(), now)


Control = Annotated[QueueControl, Depends(_control)]


@ROUTER.get("")
def queues(control: Control, store: SiteStore) -> QueuesResponse:
    """Returns what waits for each destination and for the models, and what is paused."""
    jobs = store.count_jobs()
    return QueuesResponse(
        destinations=[DestinationQueueState.of(queue) for queue in control.destination_queues()],
        inference=InferenceQueueState(
            queued=jobs[JobState.QUEUED],
            running=jobs[JobState.RUNNING],
            oldest_since=store.oldest_queued_at(),
            pause=PauseState.of(store.pauses().get(INFERENCE)),
        ),
    )


@ROUTER.get("/deliveries")
def deliveries(
    store: SiteStore,
    destination: DestinationName = "",
    state: StateOfDelivery = None,
    limit: Limit = 100,
) -> list[OpenDeliveryResponse]:
    """Returns the deliveries that wait or were given up, those that are due first."""
    states = CHANGEABLE if state is None else frozenset({DeliveryState(state)})
    selection = DeliverySelection(destination, states)
    return [OpenDeliveryResponse.of(found) for found in store.open_deliveries(selection, limit)]


@ROUTER.post("/deliveries/retry")
def retry(request: SelectionRequest, control: Control) -> ChangesResponse:
    """Makes the selected deliveries due now."""
    return ChangesResponse.of(control.retry(request.selection()))


@ROUTER.post("/deliveries/redirect")
def redirect(request: RedirectRequest, control: Control) -> ChangesResponse:
    """Delivers the selected objects to another destination instead."""
    return ChangesResponse.of(control.redirect(request.selection(), request.to))


@ROUTER.post("/deliveries/discard")
def discard(request: DiscardRequest, control: Control) -> ChangesResponse:
    """Discards the selected deliveries; the results stay stored."""
    return ChangesResponse.of(control.discard(request.selection(), request.reason))


@ROUTER.post("/inference/pause")
def pause_inference(control: Control, request: PauseRequest | None = None) -> PauseState:
    """Pauses the inference: running jobs finish, no other starts. Repeating it changes nothing."""
    return _pause(control, INFERENCE, request)


@ROUTER.post("/inference/resume")
def resume_inference(control: Control) -> PauseState:
    """Resumes the inference."""
    return _resume(control, INFERENCE)


@ROUTER.post("/destinations/{name:path}/pause")
def pause_destination(
    name: str, control: Control, request: PauseRequest | None = None
) -> PauseState:
    """Pauses a destination: running attempts finish, no other starts, and nothing is given up."""
    return _pause(control, Queue.of_destination(name), request)


@ROUTER.post("/destinations/{name:path}/resume")
def resume_destination(name: str, control: Control) -> PauseState:
    """Resumes a destination and makes its deliveries due."""
    return _resume(control, Queue.of_destination(name))


def _pause(control: QueueControl, queue: Queue, request: PauseRequest | None) -> PauseState:
    control.pause(queue, "" if request is None else request.reason)
    return PauseState.of(control.store.pauses().get(queue))


def _resume(control: QueueControl, queue: Queue) -> PauseState:
    control.resume(queue)
    return PauseState.of(control.store.pauses().get(queue))
