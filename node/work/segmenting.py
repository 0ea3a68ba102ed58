"""The first step of a job: from the stored series to the result on disk and in the job's row."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from node.domain.errors import Rejected, Transient
from node.domain.job import Job, JobState, Replaced
from node.domain.series import StoredInstance, series_digest
from node.store import Store
from node.store.jobs import IllegalChange
from node.work.closing import Closing
from node.work.failures import Defect, attempt

# A defect may be the moment's (memory that another process held); twice the same is the job's.
_TRIES_AFTER_DEFECT = 2
_TRIES_AFTER_TRANSIENT = 5


@dataclass(frozen=True)
class Inferred:
    """What the model made of a series: the SEG as a DICOM file, its picture, and the figures."""

    seg_file: bytes
    picture_png: bytes
    measurements: dict[str, dict[str, float | bool]]  # label name -> {"volume_ml": ..., ...}
    timings_s: dict[str, float]


Infer = Callable[[Job, Sequence[Path], Replaced | None], Inferred]


@dataclass(frozen=True)
class Segmenting:
    """Brings a job to its result.

    `infer` runs the model on the files of a series; `installed_version` is that of a model id.
    """

    store: Store
    infer: Infer
    installed_version: Callable[[str], str]
    now: Callable[[], datetime]
    retry_s: float = 5.0  # before the second try, twice as long before the third, ...

    def run(self, job_id: str, number: int) -> float | None:
        """Try for the `number`-th time; seconds until the next try, None when the step is over.

        Afterwards the job is DELIVERING, REFUSED, SUPERSEDED or PARKED.
        """
        job = self.store.get_job(job_id)
        if job is None or job.state not in {JobState.QUEUED, JobState.RUNNING}:
            return None
        failure = attempt(lambda: self._segment(job))
        return None if failure is None else self._after(job, number, failure)

    def _after(self, job: Job, number: int, failure: Rejected | Transient | Defect) -> float | None:
        """What follows a failure: seconds until the next try, or the job's end."""
        closing = Closing(self.store, self.now)
        match failure:
            case Rejected():
                closing.end(job, JobState.REFUSED, str(failure))
                return None
            case Transient():
                self.store.audit(self.now(), job.job_id, "job.failed", str(failure))
                told, tries = str(failure), _TRIES_AFTER_TRANSIENT
            case Defect():
                closing.note_defect(job.job_id, failure)
                told, tries = f"the segmentation failed: {failure.message}", _TRIES_AFTER_DEFECT
        if number < tries:
            return self.retry_s * number
        closing.end(job, JobState.PARKED, told)
        return None

    def _segment(self, job: Job) -> None:
        # A job that was superseded while the model ran refuses the change, and that is that.
        with suppress(IllegalChange):
            started = self.now()
            job = self.store.change_job(job.job_id, JobState.RUNNING, started)
            # The deliveries come first, so that a job in DELIVERING has all of them.
            self.store.add_deliveries(job.job_id, job.destinations, started)
            if job.result_path is not None and self.store.files.holds(job.result_path):
                self.store.change_job(job.job_id, JobState.DELIVERING, started)
                return
            instances = self.store.instances_of(job.series_instance_uid)
            stale = self._stale(job, instances)
            if stale:
                Closing(self.store, self.now).end(job, JobState.SUPERSEDED, stale)
                return
            # Asked anew: an earlier result may have been sent after this job had been made.
            replaces = job.replaces or self.store.result_before(
                job.job_id, job.series_instance_uid, job.model_id
            )
            with self.store.files.at_hand([i.path for i in instances]) as files:
                inferred = self.infer(job, files, replaces)
            result, picture = self._keep(job, inferred)
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

    def _keep(self, job: Job, inferred: Inferred) -> tuple[Path, Path]:
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
