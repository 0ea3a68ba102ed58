"""Runs of jobs that do not exist yet; a job that comes to be takes the result of its run."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

import structlog

from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.job import Job, JobState
from node.domain.series import series_digest
from node.jobs.inference import (
    InferenceRequest,
    InferenceResult,
    OtherResults,
    ProducedObject,
)
from node.store import Store
from node.store.received.instances import IndexedInstance

_LOG = structlog.get_logger()
_STOP_FILE = "stop"
# A run may fail because of its process, which died while it was idle, or a job may have ended it.
_MAX_FAILURES = 2
# Each is a few files on the local disk. Jobs wait where people pause the inference.
_MAX_RUNS = 20


class Inferences(Protocol):
    """The inference processes of this worker."""

    @property
    def has_idle(self) -> bool:
        """Whether a process runs nothing."""
        ...

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        """Runs the model of a job."""
        ...

    def infer_if_idle(
        self, request: InferenceRequest, may_end: Callable[[], bool]
    ) -> InferenceResult | None:
        """Runs a model; returns None if no process is idle, or if a job needs the process.

        A job ends the run only while `may_end` says so.
        """
        ...


@dataclass(eq=False)
class _EarlyRun:
    """A run in this process: `result` is set once it has ended well.

    `content` is the digest of the images, `is_due` says that its job waits for it, and `folder`
    owns the files of the result.
    """

    request: InferenceRequest
    content: str
    is_due: bool = False
    is_discarded: bool = False
    result: InferenceResult | None = None
    folder: ExitStack = field(default_factory=ExitStack)

    @property
    def job(self) -> Job:
        return self.request.job


@dataclass
class EarlyRuns:
    """Runs one job at a time before it exists, and holds the results in this process.

    Nothing of a run is stored, delivered or shown: after a crash its job runs as usual. A job takes
    a result only if it would ask the model for exactly the same: the same images by UID and
    content, the same configuration and the same earlier result to replace.
    """

    store: Store
    models: Inferences
    now: Callable[[], datetime]
    _runs: dict[str, _EarlyRun] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _begun: "SimpleQueue[tuple[_EarlyRun, Sequence[Path]]]" = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None
    _is_busy: bool = False

    def begin(self, request: InferenceRequest, paths: Sequence[Path], content: str) -> bool:
        """Starts the run of a job on the images at `paths`; `content` is their digest.

        Returns False, and starts nothing, while another run goes on or many results are held, and
        for a job whose own is held or has failed. Sets the files and the output of `request`.
        """
        job_id = request.job.job_id
        with self._changed:
            if self.is_busy or job_id in self._runs or len(self._runs) >= _MAX_RUNS:
                return False
            if self._failures.get(job_id, 0) >= _MAX_FAILURES or not self.models.has_idle:
                return False
            run = _EarlyRun(request, content)
            self._runs[job_id] = run
            self._is_busy = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="early runs", daemon=True)
                self._thread.start()
            self._begun.put((run, paths))
        return True

    def _serve(self) -> None:
        """Runs one after the other. The thread never ends: inference processes end with theirs."""
        while True:
            self._work(*self._begun.get())

    @property
    def is_busy(self) -> bool:
        """Whether a run goes on."""
        return self._is_busy

    def has(self, job_id: str) -> bool:
        """Whether the run of this job goes on or its result is held."""
        with self._changed:
            return job_id in self._runs

    def jobs(self) -> list[Job]:
        """Returns the jobs whose run goes on or whose result is held."""
        with self._changed:
            return [run.job for run in self._runs.values()]

    def began_at(self, job_id: str) -> datetime | None:
        """Returns when the job's early run began; None if it has none."""
        with self._changed:
            run = self._runs.get(job_id)
            return None if run is None else run.job.created_at

    def discard(self, job_id: str) -> None:
        """Stops the run of a job, or deletes its result."""
        with self._changed:
            run = self._runs.pop(job_id, None)
            if run is None:
                return
            run.is_discarded = True
            if run.result is not None:
                run.folder.close()
            elif run.request.stop_file is not None:
                with suppress(OSError):  # then it ends later, and its result is discarded
                    run.request.stop_file.touch()
            self._changed.notify_all()
        _LOG.info("early_run.discarded", job=job_id, series=run.job.series_instance_uid)

    def discard_all(self) -> None:
        """Discards every run."""
        for job in self.jobs():
            self.discard(job.job_id)

    def forget_failures(self, kept: Collection[str]) -> None:
        """Forgets which runs have failed, but for those of the jobs `kept`."""
        with self._changed:
            self._failures = {job: count for job, count in self._failures.items() if job in kept}

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        """Returns the result of the job's early run, or else runs its model.

        A result is not held back from a job that is to be compared with other results: it counts
        where there are none. Raises as the model.
        """
        run = self._take(request)
        if run is not None:
            with run.folder:
                if not _has_others(other_results):
                    return self._moved(run, request)
        return self.models.infer(request, other_results)

    def _take(self, request: InferenceRequest) -> _EarlyRun | None:
        """Removes and returns the finished run that fits the request; waits for it to finish."""
        job_id = request.job.job_id
        if not self.has(job_id):
            return None
        content = content_digest(self.store.indexed_instances_of(request.job.series_instance_uid))
        with self._changed:
            run = self._runs.get(job_id)
            if run is None:
                return None
            if (_comparable(run.request), run.content) == (_comparable(request), content):
                run.is_due = True
                self._changed.wait_for(lambda: run.result is not None or run.is_discarded)
                return None if run.is_discarded else self._runs.pop(job_id, None)
        # The configuration has changed meanwhile, or an earlier result has been delivered.
        self.discard(job_id)
        return None

    def _moved(self, run: _EarlyRun, request: InferenceRequest) -> InferenceResult:
        """Moves the files of the result to the folder of the request; the history gets an event."""
        result, source = run.result, run.request.output
        assert result is not None  # noqa: S101 `_take` waits for it
        for folder in source.iterdir():
            if folder.is_dir():
                folder.rename(request.output / folder.name)
        objects = tuple(
            ProducedObject(
                each.result_object,
                each.sop_class_uid,
                tuple(request.output / file.relative_to(source) for file in each.files),
            )
            for each in result.objects
        )
        now, began = self.now(), run.job.created_at
        detail = f"it began at {began:%Y-%m-%d %H:%M:%S} UTC, before the quiet time ended"
        self.store.add_event(now, run.job.job_id, "job.early_result_used", detail)
        waited_s = max(0.0, (now - request.job.updated_at).total_seconds())
        return replace(result, objects=objects, timings_s={"waited": waited_s} | result.timings_s)

    def _work(self, run: _EarlyRun, paths: Sequence[Path]) -> None:
        _LOG.info(
            "early_run.began",
            job=run.job.job_id,
            series=run.job.series_instance_uid,
            instances=run.job.instance_count,
        )
        with ExitStack() as stack:
            result = attempt(lambda: self._infer(run, paths, stack))
            with self._changed:
                self._is_busy = False
                if isinstance(result, InferenceResult) and not result.refusal:
                    if not run.is_discarded:
                        run.result, run.folder = result, stack.pop_all()
                else:
                    run.is_discarded = True
                    if self._runs.get(run.job.job_id) is run:
                        del self._runs[run.job.job_id]
                    self._count_failure(run, result)
                self._changed.notify_all()
        ended_well = run.result is not None
        _LOG.info("early_run.ended", job=run.job.job_id, has_result=ended_well)

    def _infer(
        self, run: _EarlyRun, paths: Sequence[Path], stack: ExitStack
    ) -> InferenceResult | None:
        """Returns the result, or None if a job needs the process or the run is discarded."""
        output = stack.enter_context(self.store.files.scratch_folder())
        with self.store.files.local_copies(paths) as files:
            stop_file = output / _STOP_FILE
            request = replace(run.request, files=tuple(files), output=output, stop_file=stop_file)
            with self._changed:
                if run.is_discarded:
                    return None
                run.request = request
            return self.models.infer_if_idle(request, lambda: not run.is_due)

    def _count_failure(
        self, run: _EarlyRun, failure: InferenceResult | Rejected | Transient | Defect | None
    ) -> None:
        """Nothing is said about the series yet: its job fails in the same way, and says why."""
        job_id = run.job.job_id
        is_final = isinstance(failure, InferenceResult | Rejected)
        self._failures[job_id] = _MAX_FAILURES if is_final else self._failures.get(job_id, 0) + 1


def content_digest(instances: Iterable[IndexedInstance]) -> str:
    """Returns a digest of the UIDs and contents of images, in any order."""
    return series_digest(f"{i.instance.sop_instance_uid} {i.dataset_digest}" for i in instances)


def _has_others(other_results: OtherResults | None) -> bool:
    if other_results is None:
        return False
    with other_results() as others:
        return bool(others)


def _comparable(request: InferenceRequest) -> InferenceRequest:
    """Returns what the model is asked for: without files, and without the progress of the job."""
    job = replace(
        request.job, state=JobState.QUEUED, reason="", turn=0, updated_at=request.job.created_at
    )
    return replace(request, job=job, files=(), output=Path(), stop_file=None)
