"""The states under which a series is listed; its jobs can put it under several."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.domain.job import JobState
from node.domain.job_summary import current_jobs
from node.domain.series import SeriesPart, SeriesState


class ListedState(StrEnum):
    """A state in which a list of series can be filtered and counted."""

    RECEIVING = "receiving"
    WORKING = "working"  # accepted: waits for the model, runs, or is being delivered
    DELIVERED = "delivered"
    REFUSED = "refused"
    IGNORED = "ignored"
    DISCARDED = "discarded"  # by a person: a job, or a series before its decision
    SUPERSEDED = "superseded"  # no job of the series counts any more
    ATTENTION = "attention"  # waits for a person


_OF_JOB: dict[JobState, ListedState] = {
    JobState.QUEUED: ListedState.WORKING,
    JobState.RUNNING: ListedState.WORKING,
    JobState.DELIVERING: ListedState.WORKING,
    JobState.DELIVERED: ListedState.DELIVERED,
    JobState.REFUSED: ListedState.REFUSED,
    JobState.SUPERSEDED: ListedState.SUPERSEDED,
    JobState.PARKED: ListedState.ATTENTION,
    JobState.DISCARDED: ListedState.DISCARDED,
}


@dataclass(frozen=True)
class ListedJob:
    """What the list needs of a job; `gives_up_delivery` if a destination does not get its result.

    A person must retry such a delivery, although others of the job may still wait. With
    `is_refusal`, the only object of the job is the notice that the series is refused.
    """

    model_id: str
    model_version: str
    series_digest: str
    part: SeriesPart | None
    state: JobState
    gives_up_delivery: bool = False
    is_refusal: bool = False

    @property
    def listed_state(self) -> ListedState:
        """The state of the job alone: a refused series stays so while its notice is on its way."""
        is_notified = self.is_refusal and self.state in {JobState.DELIVERING, JobState.PARKED}
        return ListedState.REFUSED if is_notified else _OF_JOB[self.state]

    @property
    def needs_person(self) -> bool:
        """Whether the job goes on only after a person has acted."""
        waits = self.gives_up_delivery and self.state is JobState.DELIVERING
        return waits or self.state is JobState.PARKED


def listed_states(series: SeriesState, jobs: Sequence[ListedJob]) -> frozenset[ListedState]:
    """Returns the states of a series with these jobs, newest first; at least one.

    After the decision, each job that no newer one has replaced counts: those of all models and of
    all parts. A job that waits for a person counts at any time.
    """
    needed = {ListedState.ATTENTION for job in jobs if job.needs_person}
    match series:
        case SeriesState.RECEIVING:
            return frozenset({ListedState.RECEIVING, *needed})
        case SeriesState.IGNORED:
            return frozenset({ListedState.IGNORED, *needed})
        case SeriesState.DELETED:
            return frozenset({ListedState.DISCARDED, *needed})
        case SeriesState.ACCEPTED:
            found = {job.listed_state for job in current_jobs(jobs)} | needed
    if len(found) > 1:
        found.discard(ListedState.SUPERSEDED)
    return frozenset(found or {ListedState.WORKING})
