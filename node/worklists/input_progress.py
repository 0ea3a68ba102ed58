"""How far the node is with one input series of a work item, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from node.domain.errors import RejectionReason
from node.domain.job import Job, JobState
from node.domain.job_summary import current_jobs
from node.domain.series import SeriesState
from node.domain.worklists.codes import Discontinuation
from node.domain.worklists.work_item import WorkItem, WorkItemInput
from node.routing.rule_matching import Decision
from node.routing.rules import Rule
from node.store import Store

# Refusals by other reasons than these are about the objects' form.
_CODE_OF_REJECTION: Mapping[RejectionReason, Discontinuation] = {
    RejectionReason.NOT_CT: Discontinuation.OBJECT_TYPES_NOT_SUPPORTED,
    RejectionReason.LOCALIZER: Discontinuation.OBJECT_TYPES_NOT_SUPPORTED,
    RejectionReason.MISSING_SLICES: Discontinuation.OBJECT_SET_INCOMPLETE,
    RejectionReason.TOO_FEW_SLICES: Discontinuation.OBJECT_SET_INCOMPLETE,
    RejectionReason.REGION_NOT_COVERED: Discontinuation.OBJECT_SET_INCOMPLETE,
    RejectionReason.NOT_BELIEVABLE: Discontinuation.UNSPECIFIED,
}
# Percent and text of a job that has not ended.
_RUNNING: Mapping[JobState, tuple[int, str]] = {
    JobState.QUEUED: (30, "waiting for the model"),
    JobState.RUNNING: (50, "segmenting"),
    JobState.DELIVERING: (80, "storing the result"),
    JobState.SUPERSEDED: (30, "waiting for a newer job"),
    JobState.PARKED: (80, "waiting for a person"),
}


class Ending(Enum):
    """How the work on a series ended."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"  # the rule does not apply to it
    FAILED = "failed"


@dataclass(frozen=True)
class InputProgress:
    """The progress with one series: percent and text; `ending` is None until it has ended.

    `jobs` has one job, or one for each part of the series that ended like this; none before there
    is one.
    """

    percent: int
    text: str
    ending: Ending | None = None
    code: Discontinuation = Discontinuation.UNSPECIFIED
    jobs: tuple[Job, ...] = ()


def progress_of(store: Store, item: WorkItem, one: WorkItemInput, rule: Rule) -> InputProgress:
    """Returns the progress with a series that the work item names."""
    arrival = _unfinished_arrival(store, one)
    if arrival is not None:
        return arrival
    series = store.get_series(one.series_instance_uid)
    if series is not None and series.state is SeriesState.DELETED:
        return _failed("a person deleted its images", Discontinuation.UNSPECIFIED)
    decision = store.decision_of(one.series_instance_uid)
    if series is None or decision is None or series.state is SeriesState.RECEIVING:
        return InputProgress(30, "images retrieved")
    if item.rule not in Decision.from_json(decision).rules:
        return InputProgress(
            30,
            f"rule {item.rule!r} does not apply to it",
            Ending.SKIPPED,
            Discontinuation.OBJECT_TYPES_NOT_SUPPORTED,
        )
    jobs = jobs_of_input(store, one, rule)
    if not jobs:
        return InputProgress(30, "images retrieved")
    return _of_parts([_progress_of_job(store, job) for job in jobs])


def _unfinished_arrival(store: Store, one: WorkItemInput) -> InputProgress | None:
    """Returns the progress while images are missing; None if the node has them all."""
    retrieval = None if one.retrieval_id is None else store.get_retrieval(one.retrieval_id)
    if retrieval is not None and retrieval.finished_at is None:
        waits = f"; {retrieval.error}" if retrieval.error else ""
        return InputProgress(10, f"retrieving images from {one.source}{waits}")
    if retrieval is not None and retrieval.error:
        return _failed(
            f"its images could not be retrieved: {retrieval.error}",
            Discontinuation.OBJECT_SET_INCOMPLETE,
        )
    if missing := _missing(store, one):
        return _failed(
            f"{missing} of the {len(one.sop_instance_uids)} images that the work item lists "
            f"are not at {one.source}",
            Discontinuation.OBJECT_SET_INCOMPLETE,
        )
    return None


def jobs_of_input(store: Store, one: WorkItemInput, rule: Rule) -> tuple[Job, ...]:
    """Returns the newest job of the rule's model; of a series with parts, that of each part."""
    newest_first = reversed(store.jobs_of(one.series_instance_uid))
    return current_jobs(
        [job for job in newest_first if rule.selects(job.model_id, job.model_version)]
    )


def _of_parts(parts: Sequence[InputProgress]) -> InputProgress:
    """Returns the progress with a series of parts: it ends when all of them have ended.

    It is delivered if any part is: another may be no suitable input, such as a bolus series.
    """
    if unfinished := [part for part in parts if part.ending is None]:
        return min(unfinished, key=lambda part: part.percent)
    delivered = [part for part in parts if part.ending is Ending.DELIVERED]
    if not delivered:
        return parts[0]
    return replace(delivered[0], jobs=tuple(job for part in delivered for job in part.jobs))


def _progress_of_job(store: Store, job: Job) -> InputProgress:
    match job.state:
        case JobState.DELIVERED:
            return InputProgress(100, "delivered", Ending.DELIVERED, jobs=(job,))
        case JobState.REFUSED:
            return _failed(f"it is refused: {job.reason}", _code_of(store, job), job)
        case JobState.DISCARDED:
            return _failed("a person discarded its job", Discontinuation.UNSPECIFIED, job)
        case JobState.PARKED if job.is_held:
            return InputProgress(80, job.reason, jobs=(job,))
        case _:
            percent, text = _RUNNING[job.state]
            waits = f": {job.reason}" if job.reason else ""
            return InputProgress(percent, f"{text}{waits}", jobs=(job,))


def _failed(text: str, code: Discontinuation, *jobs: Job) -> InputProgress:
    return InputProgress(0, text, Ending.FAILED, code, jobs)


def _code_of(store: Store, job: Job) -> Discontinuation:
    """The code of a refusal; unspecified where an earlier version of segnode refused."""
    rejection = store.rejection_of(job.job_id)
    if rejection is None:
        return Discontinuation.UNSPECIFIED
    return _CODE_OF_REJECTION.get(rejection, Discontinuation.OBJECTS_MALFORMED)


def _missing(store: Store, one: WorkItemInput) -> int:
    """The number of listed instances that the node does not have."""
    if not one.sop_instance_uids:
        return 0
    stored = {i.sop_instance_uid for i in store.instances_of(one.series_instance_uid)}
    return len(set(one.sop_instance_uids) - stored)
