"""The first step of a job: from the stored series to the result on disk and in the job's row."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from node.domain.errors import Rejected, Transient
from node.domain.failures import Defect, attempt
from node.domain.job import Job, JobState, ReplacedResult
from node.domain.retry_policy import RetryPolicy, given_up
from node.domain.series import StoredInstance, series_digest
from node.jobs.completion import JobCompletion
from node.store import Store
from node.store.jobs.jobs import IllegalChange

_LOG = structlog.get_logger()
# A defect may be the moment's (memory that another process held); twice the same is the job's.
_TRIES_AFTER_DEFECT = 2


@dataclass(frozen=True)
class InferenceResult:
    """What the model made of a series: the SEG as a DICOM file, its picture, and the figures."""

    seg_file: bytes
    picture_png: bytes
    measurements: dict[str, dict[str, float | bool]]  # label name -> {"volume_ml": ..., ...}
    timings_s: dict[str, float]


Infer = Callable[[Job, Sequence[Path], ReplacedResult | None], InferenceResult]


@dataclass(frozen=True)
class SegmentStep:
    """Brings a job to its result.

    `infer` runs the model on the files of a series; `installed_version` is that of a model id.
    `policy` is for passing trouble, with `jitter` in [0, 1).
    """

    store: Store
    infer: Infer
    installed_version: Callable[[str], str]
    policy: RetryPolicy
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    retry_s: float = 5.0  # after a defect

    def run(self, job_id: str, number: int) -> float | None:
        """DeliveryAttempt for the `number`-th time; seconds until the next try, None when the step is over.

        Afterwards the job is DELIVERING, REFUSED, SUPERSEDED or PARKED, or RUNNING still where a
        passing trouble is in its way, see `put_off`.
        """
        job = self.store.get_job(job_id)
        if job is None or job.state not in {JobState.QUEUED, JobState.RUNNING}:
            return None
        failure = attempt(lambda: self._segment(job))
        return None if failure is None else self._after(job, number, failure)

    def put_off(self, job_id: str, run_number: int) -> float | None:
        """Have a job wait that trouble keeps from its result; seconds until it is to run again.

        None when nothing has kept it in this run. When it has waited too long, it is parked.
        """
        job = self.store.get_job(job_id)
        failed = self.store.failed_attempts(job_id)
        if job is None or job.state is not JobState.RUNNING or not failed:
            return None
        if self.store.run_number(job_id) != run_number:
            return None
        now, told = self.now(), failed[-1].detail
        age = now - failed[0].happened_at
        if age >= self.policy.give_up_after:
            JobCompletion(self.store, self.now).end(job, JobState.PARKED, given_up(age, told))
            return None
        wait_s = self.policy.delay_s(len(failed), self.jitter())
        _LOG.warning("job.put_off", job=job_id, error=told, tries=len(failed), wait_s=round(wait_s))
        due = now + timedelta(seconds=wait_s)
        told = f"{told}; it is tried again at {due:%Y-%m-%d %H:%M:%S} UTC"
        self.store.set_waiting_reason(job_id, told, now)
        return wait_s

    def _after(self, job: Job, number: int, failure: Rejected | Transient | Defect) -> float | None:
        """What follows a failure: seconds until the next try, or the job's end, or a wait."""
        closing = JobCompletion(self.store, self.now)
        match failure:
            case Rejected():
                closing.end(job, JobState.REFUSED, str(failure))
            case Transient():
                self.store.record_failed_attempt(job.job_id, str(failure), self.now())
            case Defect():
                closing.record_defect(job.job_id, failure)
                if number < _TRIES_AFTER_DEFECT:
                    return self.retry_s
                told = f"the segmentation failed: {failure.message}"
                closing.end(job, JobState.PARKED, told)
        return None

    def _segment(self, job: Job) -> None:
        # A job that was superseded while the model ran refuses the change, and that is that.
        with suppress(IllegalChange):
            started = self.now()
            job = self.store.change_job(job.job_id, JobState.RUNNING, started, reason="")
            if job.result_path is not None and self.store.files.exists(job.result_path):
                self.store.add_deliveries(job.job_id, job.destinations, started)
                self.store.change_job(job.job_id, JobState.DELIVERING, started)
                return
            instances = self.store.instances_of(job.series_instance_uid)
            stale = self._stale(job, instances)
            if stale:
                JobCompletion(self.store, self.now).end(job, JobState.SUPERSEDED, stale)
                return
            # Asked anew: an earlier result may have been sent after this job had been made.
            replaces = job.replaces or self.store.previous_result(
                job.job_id, job.series_instance_uid, job.model_id
            )
            with self.store.files.local_copies([i.path for i in instances]) as files:
                inferred = self.infer(job, files, replaces)
            result, picture = self._keep(job, inferred)
            # The deliveries come first, so that a job in DELIVERING has all of them; but not
            # before there is a result, as they are given up at an age.
            self.store.add_deliveries(job.job_id, job.destinations, self.now())
            self.store.change_job(
                job.job_id,
                JobState.DELIVERING,
                self.now(),
                timings_s={"waited": max(0.0, (started - job.created_at).total_seconds())}
                | inferred.timings_s,
                measurements=inferred.measurements,
                result_path=result,
                picture_path=picture,
            )

    def _keep(self, job: Job, inferred: InferenceResult) -> tuple[Path, Path]:
        """Write the result and its picture; where they are."""
        folder = self.store.data_dir / "results" / job.job_id
        result, picture = folder / "result.dcm", folder / "overlay.png"
        self.store.files.put(result, [inferred.seg_file])
        self.store.files.put(picture, [inferred.picture_png])
        return result, picture

    def _stale(self, job: Job, instances: Sequence[StoredInstance]) -> str:
        """Why the job is no longer what is wanted; empty when it still is."""
        if series_digest(i.sop_instance_uid for i in instances) != job.series_digest:
            return "the series has grown since; a newer job takes its place"
        installed = self.installed_version(job.model_id)
        if installed != job.model_version:
            # Decided anew, the series gets a job for the version that is installed.
            self.store.request_start(job.series_instance_uid, self.now())
            return f"{job.model_id} {job.model_version} has been replaced by version {installed}"
        return ""
