"""Chooses the series that appear complete, and starts their jobs before the quiet time ends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.series import StoredSeries
from node.domain.texts.numbers import instances as count_text
from node.jobs.early.early_runs import EarlyRuns, content_digest
from node.jobs.quiet_time import WaitingSeries, next_due_s
from node.jobs.segment_step import SegmentStep
from node.jobs.series_completion import SeriesCompletion
from node.store import Store
from node.store.received.instances import IndexedInstance

# Associations pause for less than this between two images that follow each other, as a rule.
_MIN_PAUSE_S = 0.3
# A sender that is slow pauses for longer; an early start that was wrong also makes the next wait.
_PAUSES = 2.0


_UNFINISHED = {JobState.QUEUED, JobState.RUNNING}


@dataclass
class _Appearance:
    """What a series with these images appears to become.

    It appears complete after `pause_s`; `jobs` are those that it would then get, None before they
    are known.
    """

    images: tuple[IndexedInstance, ...]
    pause_s: float
    jobs: list[Job] | None = None


@dataclass
class EarlyStart:
    """Decides complete series, then runs the jobs that series would get which appear complete.

    A series appears complete when it has been quiet for twice the longest pause between two of its
    images. That starts work, and decides nothing: `completion` decides as ever. An early run begins
    only while no job waits, one at a time. Where the reader refuses the images, for example because
    a slice is missing, the run ends at once and the job says so when it comes to be.
    """

    store: Store
    completion: SeriesCompletion
    runs: EarlyRuns
    segment: SegmentStep
    now: Callable[[], datetime]
    _appearances: dict[Uid, _Appearance] = field(default_factory=dict)

    def poll(self) -> None:
        """Decides complete series, discards runs that nobody needs, and begins the next one.

        Raises:
            Transient: the database or the file storage does not answer.
        """
        self.completion.poll()
        waiting = {each.series.series_instance_uid: each for each in self.completion.waiting}
        self._appearances = {
            uid: known
            for uid, known in self._appearances.items()
            if uid in waiting and waiting[uid].series.instance_count == len(known.images)
        }
        known_jobs = [job for known in self._appearances.values() for job in known.jobs or ()]
        self.runs.forget_failures([job.job_id for job in known_jobs])
        self._discard_unneeded({uid: each.series for uid, each in waiting.items()})
        self._begin_next(waiting)

    def due_in_s(self) -> float | None:
        """Returns the seconds from the last poll until a series is complete, or appears so.

        None if no series comes to that by time alone.
        """
        waiting = self.completion.waiting
        complete = [(each.quiet_s, each.min_quiet_s) for each in waiting]
        appears = [(each.quiet_s, self._pause_s(each.series)) for each in waiting]
        return next_due_s([*complete, *appears])

    def _pause_s(self, series: StoredSeries) -> float:
        """Returns the quiet time after which the series appears complete, as far as is known."""
        known = self._appearances.get(series.series_instance_uid)
        return _MIN_PAUSE_S if known is None else known.pause_s

    def _discard_unneeded(self, waiting: Mapping[Uid, StoredSeries]) -> None:
        for run in self.runs.jobs():
            series = waiting.get(run.series_instance_uid)
            if series is None:
                job = self.store.get_job(run.job_id)
                if job is None or job.state not in _UNFINISHED:
                    self.runs.discard(run.job_id)
            elif series.instance_count != run.instance_count:
                self.runs.discard(run.job_id)
                detail = (
                    f"the images were being segmented before the quiet time ended when more "
                    f"arrived ({count_text(run.instance_count)} then, "
                    f"{count_text(series.instance_count)} now); all are segmented again"
                )
                uid = run.series_instance_uid
                self.store.add_event(self.now(), uid, "series.early_run_discarded", detail)

    def _begin_next(self, waiting: Mapping[Uid, WaitingSeries]) -> None:
        """Begins the run of the first job that has none, if the worker is idle."""
        quiet = [each for each in waiting.values() if each.quiet_s >= _MIN_PAUSE_S]
        if not quiet or self.runs.is_busy or self.store.queued_jobs():
            return
        if self.store.is_inference_paused():
            return
        for each in quiet:
            known = self._appearance(each.series)
            if each.quiet_s < known.pause_s:
                continue
            if known.jobs is None:
                known.jobs = self._jobs(each.series, known.images)
            if any(self._begin(job, known.images) for job in known.jobs):
                return

    def _appearance(self, series: StoredSeries) -> _Appearance:
        uid = series.series_instance_uid
        if uid not in self._appearances:
            images = self.store.indexed_instances_of(uid)
            times = sorted(image.received_at for image in images)
            longest_s = max(((b - a).total_seconds() for a, b in pairwise(times)), default=0.0)
            self._appearances[uid] = _Appearance(images, max(_MIN_PAUSE_S, _PAUSES * longest_s))
        return self._appearances[uid]

    def _jobs(self, series: StoredSeries, images: Sequence[IndexedInstance]) -> list[Job]:
        """Returns the new jobs that the series would get, but for those that need another's result.

        A job that is compared with an earlier one of the series would run again for that.
        """
        jobs: list[Job] = []
        compared = self.segment.other_models
        for job in self.completion.expected_jobs(series, [image.instance for image in images]):
            others = () if compared is None else compared.comparable.get(job.model_id, ())
            is_compared = any(earlier.model_id in others for earlier in jobs)
            if not is_compared and self.store.get_job(job.job_id) is None:
                jobs.append(job)
        return jobs

    def _begin(self, job: Job, images: Sequence[IndexedInstance]) -> bool:
        request = self.segment.request(job, (), Path(), job.replaces)
        paths = [image.instance.path for image in images]
        return self.runs.begin(request, paths, content_digest(images))
