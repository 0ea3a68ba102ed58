"""What the console shows of series and jobs: what the store knows, put together for reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.domain.delivery import Delivery, DeliveryState
from node.domain.job import Job, JobState, is_final, may_run_again, result_identity
from node.domain.series import SeriesState, StoredSeries
from node.routing.decision import Decision
from node.store import AuditEvent, SeriesOutcome, Store
from node.web.console.state_text import (
    STATES,
    Tone,
    Wording,
    delivery_wording,
    job_wording,
    sender,
    stage_name,
    volumes,
)

# Jobs in these states have rows of their own for deliveries that matter; for the others the
# list of destinations says it all.
_DELIVERIES_MATTER = {JobState.DELIVERING, JobState.PARKED, JobState.SUPERSEDED}


class Show(StrEnum):
    """Which series the list shows."""

    ALL = "all"
    WORKING = "working"
    DELIVERED = "delivered"
    REFUSED = "refused"
    IGNORED = "ignored"
    ATTENTION = "attention"


_TONE_OF: dict[Show, Tone] = {
    Show.WORKING: Tone.BUSY,
    Show.DELIVERED: Tone.DONE,
    Show.REFUSED: Tone.REFUSED,
    Show.IGNORED: Tone.QUIET,
    Show.ATTENTION: Tone.ATTENTION,
}


@dataclass(frozen=True)
class DeliveryView:
    """Where one result stands on its way to one destination."""

    destination: str
    state: Wording
    attempts: int = 0
    next_try_at: datetime | None = None
    last_error: str = ""
    receipt: str = ""


@dataclass(frozen=True)
class JobView:
    """One job; `is_current` when no newer one of the same model has taken its place."""

    job: Job
    state: Wording
    volumes: tuple[tuple[str, str], ...]
    deliveries: tuple[DeliveryView, ...]
    is_current: bool

    @property
    def has_picture(self) -> bool:
        """Whether there is an overlay to look at."""
        return self.job.picture_path is not None

    @property
    def may_retry(self) -> bool:
        """Whether a person can have it tried again."""
        return self.job.state is JobState.PARKED

    @property
    def may_run_again(self) -> bool:
        """Whether a person can have it done again from the images; a parked one is retried."""
        return self.is_current and not self.may_retry and may_run_again(self.job.state)

    @property
    def is_at_work(self) -> bool:
        """Whether the model is to begin or has begun."""
        return self.job.state in {JobState.QUEUED, JobState.RUNNING}

    @property
    def timings(self) -> tuple[tuple[str, float], ...]:
        """Each stage in words, in seconds."""
        return tuple((stage_name(stage), s) for stage, s in self.job.timings_s.items())

    @property
    def result_sop_instance_uid(self) -> str:
        """The SEG's UID; empty as long as there is none."""
        if self.job.result_path is None:
            return ""
        return result_identity(self.job.job_id).sop_instance_uid


@dataclass(frozen=True)
class SeriesView:
    """One series with its jobs, newest first."""

    series: StoredSeries
    state: Wording
    peer: str
    door: str
    jobs: tuple[JobView, ...]

    @property
    def current_jobs(self) -> tuple[JobView, ...]:
        """The newest job of each model."""
        return tuple(job for job in self.jobs if job.is_current)

    @property
    def is_receiving(self) -> bool:
        """Whether images may still arrive."""
        return self.series.state is SeriesState.RECEIVING

    @property
    def meaning(self) -> str:
        """What its state means, in a sentence."""
        if self.is_receiving and self.series.start_requested:
            return "A start has been asked for; the series is decided in a moment."
        return self.state.meaning

    @property
    def may_start(self) -> bool:
        """Whether it waits out its quiet time, which a person can cut short."""
        return self.is_receiving and not self.series.start_requested

    @property
    def may_decide_again(self) -> bool:
        """Whether it was ignored, which the rules may see otherwise by now."""
        return self.series.state is SeriesState.IGNORED


@dataclass(frozen=True)
class SeriesPage:
    """All that is known about one series."""

    view: SeriesView
    decision: Decision | None
    events: tuple[AuditEvent, ...]


def listed(store: Store, show: Show, limit: int) -> tuple[SeriesView, ...]:
    """The latest series, newest first; of one kind alone where asked for.

    Those that need somebody's attention are found however old they are.
    """
    if show is Show.ATTENTION:
        return _with_stopped_jobs(store, limit)
    views = (series_view(store, found) for found in store.series_with_outcome(limit))
    return tuple(v for v in views if show is Show.ALL or v.state.tone is _TONE_OF[show])


def counts(store: Store) -> dict[Show, int]:
    """How many series or jobs there are of each kind, over all time."""
    series, jobs = store.count_series(), store.count_jobs()
    found = dict.fromkeys(Show, 0)
    found[Show.ALL] = sum(series.values())
    found[Show.WORKING] = series[SeriesState.RECEIVING]
    found[Show.IGNORED] = series[SeriesState.IGNORED]
    for show, tone in _TONE_OF.items():
        found[show] += sum(
            count
            for state, count in jobs.items()
            if STATES[state].tone is tone and state is not JobState.SUPERSEDED
        )
    return found


def series_page(store: Store, series_uid: str) -> SeriesPage | None:
    """The page of one series; None where it is unknown."""
    found = _outcome(store, series_uid)
    if found is None:
        return None
    decision = store.decision_of(series_uid)
    subjects = [series_uid, *(job.job_id for job in found.jobs)]
    events = [event for subject in subjects for event in store.audit_of(subject)]
    return SeriesPage(
        view=series_view(store, found, all_deliveries=True),
        decision=None if decision is None else Decision.from_json(decision),
        events=tuple(sorted(events, key=lambda event: event.happened_at)),
    )


def series_view(store: Store, found: SeriesOutcome, *, all_deliveries: bool = False) -> SeriesView:
    """A series as the list shows it; `all_deliveries` with each one's receipt."""
    seen: set[str] = set()
    jobs = []
    for job in found.jobs:
        deliveries = _deliveries(store, job, all_deliveries)
        jobs.append(
            JobView(job, job_wording(job), volumes(job), deliveries, job.model_id not in seen)
        )
        seen.add(job.model_id)
    settled = found.series.state is SeriesState.ACCEPTED and found.job is not None
    state = job_wording(found.job) if settled and found.job else STATES[found.series.state]
    peer, door = sender(found.series.origin)
    return SeriesView(found.series, state, peer, door, tuple(jobs))


def _deliveries(store: Store, job: Job, all_of_them: bool) -> tuple[DeliveryView, ...]:
    if all_of_them or job.state in _DELIVERIES_MATTER:
        found = store.deliveries_of(job.job_id)
        # Nothing waits for a job that has ended: one that was refused has no result to send.
        over = is_final(job.state)
        return _views([d for d in found if not (over and d.state is DeliveryState.WAITING)])
    if job.state is JobState.DELIVERED:
        done = delivery_wording(_done(job.job_id))
        return tuple(DeliveryView(name, done) for name in job.destinations)
    return ()


def _done(job_id: str) -> Delivery:
    return Delivery(job_id, "", DeliveryState.DELIVERED, 1, None, "", "")


def _views(deliveries: Sequence[Delivery]) -> tuple[DeliveryView, ...]:
    return tuple(
        DeliveryView(
            destination=d.destination,
            state=delivery_wording(d),
            attempts=d.attempts,
            next_try_at=d.next_try_at if d.state is DeliveryState.WAITING else None,
            last_error=d.last_error,
            receipt=d.receipt,
        )
        for d in deliveries
    )


def _outcome(store: Store, series_uid: str) -> SeriesOutcome | None:
    series = store.get_series(series_uid)
    if series is None:
        return None
    return SeriesOutcome(series, tuple(reversed(store.jobs_of(series_uid))))


def _with_stopped_jobs(store: Store, limit: int) -> tuple[SeriesView, ...]:
    stopped = store.list_jobs(limit, states=[JobState.PARKED])
    uids = dict.fromkeys(job.series_instance_uid for job in stopped)
    found = (_outcome(store, uid) for uid in uids)
    return tuple(series_view(store, one) for one in found if one is not None)
