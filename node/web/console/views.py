"""View models of series and jobs for the console, loaded from the store."""

from collections.abc import Collection
from dataclasses import dataclass

from node.domain.incomplete_series import IncompleteSeries
from node.domain.job import Job, JobState, can_rerun, is_final
from node.domain.job_summary import current_jobs
from node.domain.series import SeriesState, StoredSeries
from node.routing.rule_matching import Decision
from node.store import SeriesOutcome, Store
from node.web.console.delivery_views import DeliveryView, delivery_views
from node.web.console.state_text import (
    STATES,
    StateText,
    job_state_text,
    measured_volumes,
    peer_and_channel,
    stage_name,
)
from node.web.console.trail import TrailEntry, folded


@dataclass(frozen=True)
class JobView:
    """One job; `is_current` unless a newer job of the same model has replaced it.

    The parts of a series do not replace each other. It is repeatable while its images are stored.
    """

    job: Job
    state: StateText
    volumes: tuple[tuple[str, str], ...]
    deliveries: tuple[DeliveryView, ...]
    is_current: bool
    is_repeatable: bool

    @property
    def part(self) -> str:
        """Which part of the series the job is about; empty if it is about the whole series."""
        return "" if self.job.part is None else self.job.part.title

    @property
    def name(self) -> str:
        """Names the job among those of its series."""
        return f"{self.job.model_id}, {self.part}" if self.part else self.job.model_id

    @property
    def has_picture(self) -> bool:
        """Whether there is an overlay picture."""
        return self.job.picture_path is not None

    @property
    def may_retry(self) -> bool:
        """Whether a person can retry the job."""
        return self.job.state is JobState.PARKED

    @property
    def retry_action(self) -> str:
        """The last part of the address to which that button posts."""
        return "release" if self.job.is_held else "retry"

    @property
    def retry_label(self) -> str:
        """The label of the button that continues a parked job."""
        return "Release" if self.job.is_held else "Retry"

    @property
    def can_rerun(self) -> bool:
        """Whether a person can run it again from the images; a parked job is retried instead."""
        has_ended = not self.may_retry and can_rerun(self.job.state)
        return self.is_current and self.is_repeatable and has_ended

    @property
    def is_active(self) -> bool:
        """Whether the job waits for the model or the model is running."""
        return self.job.state in {JobState.QUEUED, JobState.RUNNING}

    @property
    def timings(self) -> tuple[tuple[str, float], ...]:
        """The name and the duration in seconds of each stage."""
        return tuple((stage_name(stage), s) for stage, s in self.job.timings_s.items())

    @property
    def result_sop_instance_uid(self) -> str:
        """The SOP Instance UID of the SEG; empty until there is one."""
        if self.job.result_path is None or self.job.is_refusal:
            return ""
        return self.job.result_uids.sop_instance_uid()


@dataclass(frozen=True)
class SeriesView:
    """One series with its jobs, newest first."""

    series: StoredSeries
    state: StateText
    peer: str
    channel: str
    jobs: tuple[JobView, ...]
    incomplete: IncompleteSeries | None = None

    @property
    def current_jobs(self) -> tuple[JobView, ...]:
        """The newest job of each model, or those of the parts of the series."""
        return tuple(job for job in self.jobs if job.is_current)

    @property
    def is_receiving(self) -> bool:
        """Whether images may still arrive."""
        return self.series.state is SeriesState.RECEIVING

    @property
    def has_images(self) -> bool:
        """Whether there are images to show, and no more are expected."""
        return not self.is_receiving and self.series.instance_count > 0

    @property
    def meaning(self) -> str:
        """The meaning of the state, in a sentence."""
        if self.is_receiving and self.series.start_requested:
            return "A start has been requested; the series is decided in a moment."
        if self.incomplete is None:
            return self.state.meaning
        missing = self.incomplete.explanation
        return missing if self.is_receiving else f"{self.state.meaning} {missing}"

    @property
    def may_start(self) -> bool:
        """Whether it waits for the end of its quiet time, which a person can skip."""
        return self.is_receiving and not self.series.start_requested

    @property
    def may_delete(self) -> bool:
        """Whether its images and results can be deleted: no job is open, and no image expected."""
        if self.series.instance_count == 0 or not all(is_final(one.job.state) for one in self.jobs):
            return False
        waits_for_nobody = self.incomplete is not None and self.incomplete.is_over
        return not self.is_receiving or (waits_for_nobody and not self.series.start_requested)

    @property
    def may_decide_again(self) -> bool:
        """Whether it was ignored, and has images: rules that changed since may match it."""
        return self.series.state is SeriesState.IGNORED and self.has_images


@dataclass(frozen=True)
class SeriesPage:
    """One series with its decision and its history."""

    view: SeriesView
    decision: Decision | None
    trail: tuple[TrailEntry, ...]


def load_series_page(
    store: Store, series_uid: str, configured: Collection[str]
) -> SeriesPage | None:
    """Returns the page of one series; None if it is unknown.

    `configured` are the destinations that the configuration has.
    """
    found = _outcome(store, series_uid)
    if found is None:
        return None
    decision = store.decision_of(series_uid)
    subjects = [series_uid, *(job.job_id for job in found.jobs)]
    return SeriesPage(
        view=series_view(store, found, configured, all_deliveries=True),
        decision=None if decision is None else Decision.from_json(decision),
        trail=folded(store.history_of_all(subjects)),
    )


def series_view(
    store: Store,
    found: SeriesOutcome,
    configured: Collection[str],
    *,
    all_deliveries: bool = False,
) -> SeriesView:
    """Returns a series for the list; with `all_deliveries`, each delivery and its receipt.

    `configured` are the destinations that the configuration has.
    """
    current = current_jobs(found.jobs)
    earlier = [job for job in found.jobs if job not in current]
    jobs = [
        JobView(
            job,
            job_state_text(job),
            measured_volumes(job),
            delivery_views(store, job, configured, all_deliveries=all_deliveries),
            job in current,
            found.series.instance_count > 0,
        )
        for job in (*current, *earlier)
    ]
    settled = found.series.state is SeriesState.ACCEPTED and found.job is not None
    state = job_state_text(found.job) if settled and found.job else STATES[found.series.state]
    peer, channel = peer_and_channel(found.series.origin)
    return SeriesView(found.series, state, peer, channel, tuple(jobs), found.incomplete)


def _outcome(store: Store, series_uid: str) -> SeriesOutcome | None:
    series = store.get_series(series_uid)
    if series is None:
        return None
    incomplete = store.incomplete_series([series_uid]).get(series.series_instance_uid)
    return SeriesOutcome(series, tuple(reversed(store.jobs_of(series_uid))), incomplete)
