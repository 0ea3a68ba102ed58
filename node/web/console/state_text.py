"""What the console calls things: states, doors, volumes and events in an administrator's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.domain.delivery import Delivery, DeliveryState
from node.domain.instance import Door
from node.domain.job import Job, JobState
from node.domain.series import SeriesState
from node.store import AuditEvent


class Tone(StrEnum):
    """How a state looks; each has a shape of its own too, so that none is told by colour alone."""

    BUSY = "busy"
    DONE = "done"
    QUIET = "quiet"
    REFUSED = "refused"
    ATTENTION = "attention"


@dataclass(frozen=True)
class Wording:
    """A state in words: a short `label`, and what it means in a sentence."""

    label: str
    tone: Tone
    meaning: str


STATES: Mapping[SeriesState | JobState, Wording] = {
    SeriesState.RECEIVING: Wording(
        "Receiving", Tone.BUSY, "Images are arriving, or the node waits in case more do."
    ),
    SeriesState.IGNORED: Wording(
        "Ignored", Tone.QUIET, "No rule of the configuration wanted the series."
    ),
    SeriesState.ACCEPTED: Wording(
        "Accepted", Tone.BUSY, "A rule wanted the series; its job is about to begin."
    ),
    JobState.QUEUED: Wording("Queued", Tone.BUSY, "The series waits for the model."),
    JobState.RUNNING: Wording("Segmenting", Tone.BUSY, "The model is at work."),
    JobState.DELIVERING: Wording(
        "Delivering", Tone.BUSY, "The result is made and on its way to its destinations."
    ),
    JobState.DELIVERED: Wording("Delivered", Tone.DONE, "Every destination has the result."),
    JobState.REFUSED: Wording(
        "Refused", Tone.REFUSED, "The series is not suitable for this model; nothing was made."
    ),
    JobState.SUPERSEDED: Wording("Superseded", Tone.QUIET, "A newer job has taken its place."),
    JobState.PARKED: Wording(
        "Stopped", Tone.ATTENTION, "Stopped after errors. Put the cause right, then retry."
    ),
    JobState.DISCARDED: Wording("Discarded", Tone.QUIET, "Somebody has given up on it."),
}
_PUT_OFF = Wording(
    "Will be tried again", Tone.BUSY, "The last try failed; the next one follows by itself."
)
DELIVERY_STATES: Mapping[DeliveryState, Wording] = {
    DeliveryState.WAITING: Wording("Waiting", Tone.BUSY, "The node sends it as soon as it can."),
    DeliveryState.COMMITTING: Wording(
        "Committing",
        Tone.BUSY,
        "The destination has the result, and is to confirm that it keeps it.",
    ),
    DeliveryState.DELIVERED: Wording("Delivered", Tone.DONE, "The destination has the result."),
    DeliveryState.PARKED: Wording(
        "Given up", Tone.ATTENTION, "Nothing more is tried until somebody asks for it."
    ),
}
_RETRYING = Wording("Will be tried again", Tone.ATTENTION, "The last try failed; more follow.")

_DOORS: Mapping[str, str] = {
    Door.C_STORE.value: "C-STORE",
    Door.DICOMWEB.value: "DICOMweb",
    Door.FOLDER.value: "folder",
}
_STAGES: Mapping[str, str] = {
    "waited": "Waiting for the model",
    "read": "Reading the images",
    "segment": "Segmenting",
    "measure": "Measuring",
    "encode": "Writing the DICOM SEG",
    "deliver": "Delivering",
}
_EVENTS: Mapping[str, str] = {
    "series.start_requested": "Start asked for",
    "series.cleared": "Images and results deleted after their time",
    "series.ignored": "Series complete: no rule wanted it",
    "series.accepted": "Series complete: a rule wanted it",
    "job.queued": "Job queued",
    "job.running": "Model started",
    "job.delivering": "Result made",
    "job.delivered": "Delivered everywhere",
    "job.refused": "Refused",
    "job.superseded": "Superseded",
    "job.parked": "Stopped",
    "job.discarded": "Discarded",
    "job.failed": "A try failed",
    "delivery.failed": "Delivery failed, to be tried again",
    "delivery.delivered": "Delivered",
    "delivery.parked": "Delivery given up",
    "delivery.retried": "Delivery to be tried again",
    "defect": "Error inside the node",
}


def job_wording(job: Job) -> Wording:
    """A job's state; one that is put off, and says why, looks different from one at work."""
    if job.state is JobState.RUNNING and job.reason:
        return _PUT_OFF
    return STATES[job.state]


def delivery_wording(delivery: Delivery) -> Wording:
    """A delivery's state; one that has failed looks different from one not yet tried."""
    if delivery.state is DeliveryState.WAITING and delivery.attempts > 0:
        return _RETRYING
    return DELIVERY_STATES[delivery.state]


def sender(origin: str) -> tuple[str, str]:
    """Who sent it, and through which door: "c-store CT1" -> ("CT1", "C-STORE")."""
    door, _, peer = origin.partition(" ")
    return peer or "unknown", _DOORS.get(door, door)


def volumes(job: Job) -> tuple[tuple[str, str], ...]:
    """Each organ's name and volume; what was not measured has none, and is left out."""
    return tuple(
        (label, volume_words(measured))
        for label, measured in job.measurements.items()
        if "volume_ml" in measured
    )


def volume_words(measured: Mapping[str, float | bool]) -> str:
    """ "1,417 mL"; "at least 900 mL" where the organ is not wholly in the series."""
    bound = "at least " if measured.get("cut_by_series") else ""
    return f"{bound}{measured['volume_ml']:,.0f} mL" if measured["volume_ml"] > 0 else "not found"


def stage_name(stage: str) -> str:
    """A stage of a job's timings."""
    return _STAGES.get(stage, stage.replace("_", " ").capitalize())


def event_name(event: AuditEvent) -> str:
    """What an event of the audit trail was."""
    return _EVENTS.get(event.event, event.event.replace(".", ": ").replace("_", " "))


def short_uid(uid: str) -> str:
    """The end of a UID, by which people tell series apart."""
    return uid if len(uid) <= 16 else f"…{uid[-14:]}"


def sentence(text: str) -> str:
    """With a capital at its start and a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
