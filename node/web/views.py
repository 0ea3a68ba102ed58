"""What the console says of a series, in plain words; the templates only lay it out."""

from dataclasses import dataclass
from datetime import datetime

from node.cli.jobs import outcome
from node.domain.delivery import Delivery, DeliveryState
from node.domain.job import Job, JobState
from node.domain.series import SeriesState, StoredSeries
from node.store import Store
from node.store.outcomes import SeriesOutcome


@dataclass(frozen=True)
class Badge:
    """A state as a word and a sign; `kind` chooses the colour, which never speaks alone."""

    word: str
    sign: str
    kind: str


@dataclass(frozen=True)
class DeliveryView:
    """One destination of a job and how far the result has come."""

    destination: str
    badge: Badge
    next_try_at: datetime | None
    attempts: int
    told: str  # the receipt, or what went wrong last


@dataclass(frozen=True)
class JobView:
    """One job."""

    job: Job
    badge: Badge
    told: str
    volumes: tuple[tuple[str, str], ...]
    deliveries: tuple[DeliveryView, ...]
    picture_url: str | None

    @property
    def can_retry(self) -> bool:
        """Whether a person can have it tried again."""
        return self.job.state is JobState.PARKED


@dataclass(frozen=True)
class SeriesView:
    """One series with its jobs, newest first."""

    series: StoredSeries
    sender: str
    badge: Badge
    told: str
    jobs: tuple[JobView, ...]

    @property
    def can_start(self) -> bool:
        """Whether there is anything to be gained by not waiting."""
        return self.series.state is SeriesState.RECEIVING and not self.series.start_requested


_DOORS = {"c-store": "C-STORE", "dicomweb": "DICOMweb", "folder": "a folder"}
_SERIES_BADGES = {
    SeriesState.RECEIVING: Badge("receiving", "↓", "busy"),
    SeriesState.IGNORED: Badge("ignored", "–", "still"),
    SeriesState.ACCEPTED: Badge("accepted", "✓", "busy"),
}
_JOB_BADGES = {
    JobState.QUEUED: Badge("queued", "…", "busy"),
    JobState.RUNNING: Badge("segmenting", "▶", "busy"),
    JobState.DELIVERING: Badge("delivering", "↑", "busy"),
    JobState.DELIVERED: Badge("delivered", "✓", "good"),
    JobState.REFUSED: Badge("refused", "✕", "warn"),
    JobState.SUPERSEDED: Badge("superseded", "↻", "still"),
    JobState.PARKED: Badge("parked", "!", "bad"),
}
_JOB_TOLD = {
    JobState.QUEUED: "Waits for the worker.",
    JobState.RUNNING: "The model is at work.",
}
_DELIVERY_BADGES = {
    DeliveryState.WAITING: Badge("waiting", "…", "busy"),
    DeliveryState.DELIVERED: Badge("delivered", "✓", "good"),
    DeliveryState.PARKED: Badge("given up", "!", "bad"),
}


def series_view(store: Store, found: SeriesOutcome) -> SeriesView:
    """The series as the console shows it."""
    series = found.series
    jobs = tuple(_job_view(store, job) for job in found.jobs)
    door, _, peer = series.origin.partition(" ")
    badge, told = _SERIES_BADGES[series.state], _series_told(series)
    if series.state is SeriesState.ACCEPTED and jobs:
        badge, told = jobs[0].badge, jobs[0].told
    return SeriesView(series, f"{peer} by {_DOORS.get(door, door)}", badge, told, jobs)


def _series_told(series: StoredSeries) -> str:
    match series.state:
        case SeriesState.RECEIVING if series.start_requested:
            return "Is being decided."
        case SeriesState.RECEIVING:
            return "Waits until no more images come."
        case SeriesState.IGNORED:
            return "No rule wanted it."
        case SeriesState.ACCEPTED:
            return "Its job is about to be made."


def _job_view(store: Store, job: Job) -> JobView:
    has_picture = job.picture_path is not None
    version = int(job.updated_at.timestamp())
    deliveries = () if job.result_path is None else store.deliveries_of(job.job_id)
    return JobView(
        job=job,
        badge=_JOB_BADGES[job.state],
        told=_sentence(outcome(job) if job.reason else _JOB_TOLD.get(job.state, "")),
        volumes=tuple(_volume(label, values) for label, values in job.measurements.items()),
        deliveries=tuple(_delivery_view(delivery) for delivery in deliveries),
        picture_url=f"/api/jobs/{job.job_id}/picture.png?v={version}" if has_picture else None,
    )


def _volume(label: str, values: dict[str, float | bool]) -> tuple[str, str]:
    bound = "at least " if values.get("cut_by_series") else ""
    return label, f"{bound}{values['volume_ml']:,.0f} mL".replace(",", "\u202f")


def _delivery_view(delivery: Delivery) -> DeliveryView:
    delivered = delivery.state is DeliveryState.DELIVERED
    return DeliveryView(
        destination=delivery.destination,
        badge=_DELIVERY_BADGES[delivery.state],
        next_try_at=delivery.next_try_at if delivery.attempts else None,
        attempts=delivery.attempts,
        told=_sentence(delivery.receipt if delivered else delivery.last_error),
    )


def _sentence(text: str) -> str:
    """With a capital at its start and a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
