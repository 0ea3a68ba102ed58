"""Texts of the console for states, channels, volumes and events, in plain English."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.domain.delivery import Delivery, DeliveryKey, DeliveryState
from node.domain.instance import Channel
from node.domain.job import Job, JobState
from node.domain.job_summary import is_lower_bound
from node.domain.series import SeriesState
from node.domain.texts.numbers import millilitres
from node.store import HistoryEvent


class Tone(StrEnum):
    """The style of a state. Each has its own shape too, so that none depends on colour alone."""

    BUSY = "busy"
    DONE = "done"
    QUIET = "quiet"
    REFUSED = "refused"
    ATTENTION = "attention"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class StateText:
    """The text of a state: a short `label`, and its meaning in a sentence."""

    label: str
    tone: Tone
    meaning: str


STATES: Mapping[SeriesState | JobState, StateText] = {
    SeriesState.RECEIVING: StateText(
        "Receiving", Tone.BUSY, "Images are arriving, or the node is waiting in case more arrive."
    ),
    SeriesState.IGNORED: StateText(
        "Ignored", Tone.QUIET, "No rule of the configuration matched the series."
    ),
    SeriesState.ACCEPTED: StateText(
        "Accepted", Tone.BUSY, "A rule matched the series; its job is about to start."
    ),
    SeriesState.DELETED: StateText(
        "Deleted", Tone.DISCARDED, "A person deleted its images before a rule matched them."
    ),
    JobState.QUEUED: StateText("Queued", Tone.BUSY, "The series is waiting for the model."),
    JobState.RUNNING: StateText("Segmenting", Tone.BUSY, "The model is running."),
    JobState.DELIVERING: StateText(
        "Delivering", Tone.BUSY, "The result is complete and is being sent to its destinations."
    ),
    JobState.DELIVERED: StateText("Delivered", Tone.DONE, "Every destination has the result."),
    JobState.REFUSED: StateText(
        "Refused", Tone.REFUSED, "The series is not suitable for this model; there is no result."
    ),
    JobState.SUPERSEDED: StateText("Superseded", Tone.QUIET, "A newer job has replaced this one."),
    JobState.PARKED: StateText(
        "Stopped", Tone.ATTENTION, "Stopped after errors. Correct the cause, then retry."
    ),
    JobState.DISCARDED: StateText(
        "Discarded", Tone.DISCARDED, "A person discarded the job; its result is not sent."
    ),
}
_HELD = StateText("Held", Tone.ATTENTION, "The result waits for a person because of its findings.")
_POSTPONED = StateText(
    "Will be retried", Tone.BUSY, "The last attempt failed; the node retries automatically."
)
DELIVERY_STATES: Mapping[DeliveryState, StateText] = {
    DeliveryState.WAITING: StateText(
        "Waiting", Tone.BUSY, "The node sends the result as soon as it can."
    ),
    DeliveryState.COMMITTING: StateText(
        "Sent, not confirmed",
        Tone.BUSY,
        "The destination has the result and has yet to confirm that it keeps it.",
    ),
    DeliveryState.DELIVERED: StateText("Delivered", Tone.DONE, "The destination has received it."),
    DeliveryState.PARKED: StateText(
        "Given up", Tone.ATTENTION, "The node does not retry until somebody requests it."
    ),
    DeliveryState.DISCARDED: StateText(
        "Discarded", Tone.QUIET, "Somebody discarded or redirected the delivery."
    ),
}
PAUSED = StateText("Paused", Tone.QUIET, "Its destination is paused.")
_PARTLY = StateText(
    "Delivered", Tone.DONE, "The destinations have the result, but for those that are named."
)
_RETRYING = StateText(
    "Will be retried", Tone.ATTENTION, "The last attempt failed; the node retries automatically."
)

_CHANNELS: Mapping[str, str] = {
    Channel.C_STORE.value: "C-STORE",
    Channel.C_GET.value: "C-GET",
    Channel.DICOMWEB.value: "DICOMweb",
    Channel.FOLDER.value: "folder",
}
_STAGES: Mapping[str, str] = {
    "waited": "Waiting for the model",
    "read": "Reading the images",
    "segment": "Segmenting",
    "measure": "Measuring",
    "compare": "Comparing with other models",
    "encode": "Writing the DICOM SEG",
    "deliver": "Delivering",
}
_EVENTS: Mapping[str, str] = {
    "series.start_requested": "Start requested",
    "series.completion_hint": "Complete, as the sender says",
    "series.early_run_discarded": "Early segmentation discarded",
    "series.images_refused": "Images refused; the series waits for them",
    "series.started_incomplete": "Started by a person without the images that were refused",
    "series.cleared": "Images and results deleted at the end of their retention time",
    "series.deleted": "Images and results deleted by a person",
    "series.ignored": "Series complete: no rule matched",
    "series.accepted": "Series complete: a rule matched",
    "job.queued": "Job queued",
    "job.running": "Model started",
    "job.early_result_used": "Result of the early segmentation used",
    "job.delivering": "Result complete",
    "job.delivered": "Delivered to every destination",
    "job.refused": "Refused",
    "job.superseded": "Superseded",
    "job.parked": "Stopped",
    "job.discarded": "Discarded",
    "job.failed": "Attempt failed",
    "job.rejected": "Series not suitable",
    "delivery.stored": "Sent; waits for the confirmation that it is kept",
    "delivery.failed": "Delivery failed; will be retried",
    "delivery.delivered": "Delivered",
    "delivery.parked": "Delivery given up",
    "delivery.retried": "Delivery will be retried",
    "delivery.redirected": "Delivery redirected",
    "delivery.discarded": "Delivery discarded",
    "queue.paused": "Paused",
    "queue.resumed": "Resumed",
    "defect": "Error inside the node",
}


def job_state_text(job: Job) -> StateText:
    """Returns the text of a job's state; a postponed job has a reason and a text of its own."""
    if job.state is JobState.RUNNING and job.reason:
        return _POSTPONED
    if job.is_held:
        return _HELD
    if job.state is JobState.DELIVERED and job.reason:
        return _PARTLY
    return STATES[job.visible_state]


def delivery_state_text(delivery: Delivery) -> StateText:
    """Returns the text of a delivery's state; a failed one differs from one not yet attempted."""
    if delivery.state is DeliveryState.WAITING and delivery.attempts > 0:
        return _RETRYING
    return DELIVERY_STATES[delivery.state]


def peer_and_channel(origin: str) -> tuple[str, str]:
    """Returns the sender and the channel: "c-store CT1" -> ("CT1", "C-STORE")."""
    channel, _, peer = origin.partition(" ")
    return peer or "unknown", _CHANNELS.get(channel, channel)


def measured_volumes(job: Job) -> tuple[tuple[str, str], ...]:
    """Returns the name and volume of each organ, without organs that were not measured."""
    return tuple(
        (label, volume_text(measured))
        for label, measured in job.measurements.items()
        if "volume_ml" in measured
    )


def volume_text(measured: Mapping[str, float | bool]) -> str:
    """Returns "1417 mL", or "at least 900 mL" if the organ is not completely in the series."""
    bound = "at least " if is_lower_bound(measured) else ""
    return (
        f"{bound}{millilitres(measured['volume_ml'])}" if measured["volume_ml"] > 0 else "not found"
    )


def stage_name(stage: str) -> str:
    """Returns the name of a stage in a job's timings."""
    return _STAGES.get(stage, stage.replace("_", " ").capitalize())


def event_name(event: HistoryEvent) -> str:
    """Returns the name of an event in the history."""
    return _EVENTS.get(event.event, event.event.replace(".", ": ").replace("_", " "))


def event_detail(event: HistoryEvent) -> str:
    """Returns the detail of an event; of a delivery, what was sent where in words."""
    if event.event == "job.discarded":
        return event.detail.removeprefix("discarded ")  # the name of the event says it
    if not event.event.startswith("delivery."):
        return event.detail
    text, separator, answer = event.detail.partition(": ")
    # Earlier versions recorded the key itself.
    return f"{DeliveryKey.parse(text).title}{separator}{answer}"


def short_uid(uid: str) -> str:
    """Returns the end of a UID, which is enough to distinguish series."""
    return uid if len(uid) <= 16 else f"…{uid[-14:]}"
