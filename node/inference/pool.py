"""A pool of inference processes, with a limit on parallel inferences for each model."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from node.inference.process import InferenceError, InferenceProcess
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults, RunStopped

# Longer than a stage that no stop file interrupts, such as encoding.
_STOP_TIMEOUT_S = 10.0


@dataclass(eq=False)
class _SpareRun:
    """A run of a process that no job needs; a job may end it while `may_end` says so."""

    process: InferenceProcess
    request: InferenceRequest
    may_end: Callable[[], bool]
    is_ended: bool = False


class InferencePool:
    """Runs up to `size` inferences in parallel, each in its own process.

    `max_per_model` limits the parallel inferences of the models that it names; a job beyond the
    limit blocks until another job of its model ends.
    """

    def __init__(
        self,
        make_process: Callable[[], InferenceProcess],
        size: int,
        max_per_model: Mapping[str, int],
    ) -> None:
        self._processes = [make_process() for _ in range(size)]
        self._idle: SimpleQueue[InferenceProcess] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        self._model_limits = {
            model: threading.BoundedSemaphore(limit) for model, limit in max_per_model.items()
        }
        self._lock = threading.Lock()
        self._users = 0
        self._is_retired = False
        self._spare_lock = threading.Lock()
        self._spare_runs: list[_SpareRun] = []

    def load(self, model_ids: Sequence[str]) -> str:
        """Starts every process and loads these models in it; see `InferenceProcess.load`."""
        devices = [process.load(model_ids) for process in self._processes]
        return devices[0]

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        """Runs the job's model on its series; see `InferenceProcess.infer`."""
        with self._used(), self._model_turn(request.job.model_id):
            process = self._process_for_job()
            try:
                return process.infer(request, other_results)
            finally:
                self._idle.put(process)

    def retire(self) -> None:
        """Ends the processes once no inference runs: another pool takes the next ones."""
        with self._lock:
            self._is_retired = True
            self._end_spare_runs(len(self._processes))
            if self._users == 0:
                self.close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._is_retired and self._users == 0:
                    self.close()

    @property
    def has_idle(self) -> bool:
        """Whether a process runs nothing."""
        return not self._idle.empty()

    def infer_if_idle(
        self, request: InferenceRequest, may_end: Callable[[], bool] = lambda: True
    ) -> InferenceResult | None:
        """Runs a model that no job waits for on an idle process; returns None if there is none.

        A job that finds no idle process ends the run while `may_end` says so; it then returns None
        as well. See `InferenceProcess.infer` for the errors.
        """
        limit = self._model_limits.get(request.job.model_id)
        if limit is not None and not limit.acquire(blocking=False):
            return None
        try:
            process = self._idle.get_nowait()
        except Empty:
            return None
        else:
            with self._used():
                return self._infer_spare(_SpareRun(process, request, may_end))
        finally:
            if limit is not None:
                limit.release()

    def _infer_spare(self, run: _SpareRun) -> InferenceResult | None:
        with self._spare_lock:
            self._spare_runs.append(run)
        try:
            return run.process.infer_once(run.request)
        except RunStopped:
            return None
        except InferenceError:
            if run.is_ended:
                return None
            raise
        finally:
            with self._spare_lock:
                self._spare_runs.remove(run)
            self._idle.put(run.process)

    @contextmanager
    def _model_turn(self, model_id: str) -> Iterator[None]:
        """Waits for a job's turn among those of its model."""
        limit = self._model_limits.get(model_id)
        if limit is None:
            yield
            return
        if not limit.acquire(blocking=False):
            self._end_spare_runs(1, model_id)
            limit.acquire()
        try:
            yield
        finally:
            limit.release()

    def _process_for_job(self) -> InferenceProcess:
        try:
            return self._idle.get_nowait()
        except Empty:
            self._end_spare_runs(1)
            return self._idle.get()

    def _end_spare_runs(self, count: int, model_id: str = "") -> None:
        """Ends up to so many spare runs, of this model if one is given."""
        with self._spare_lock:
            of_model = [
                run for run in self._spare_runs if model_id in ("", run.request.job.model_id)
            ]
            for run in [run for run in of_model if not run.is_ended and run.may_end()][:count]:
                self._end(run)

    def _end(self, run: _SpareRun) -> None:
        """Ends the run by its stop file, so that the models stay loaded, or by its process."""
        run.is_ended = True
        try:
            if run.request.stop_file is None:
                run.process.close()
            else:
                run.request.stop_file.touch()
                deadline = threading.Timer(_STOP_TIMEOUT_S, self._end_process, [run])
                deadline.daemon = True
                deadline.start()
        except OSError:  # the disk takes no file
            run.process.close()

    def _end_process(self, run: _SpareRun) -> None:
        with self._spare_lock:
            if run in self._spare_runs:
                run.process.close()

    def close(self) -> None:
        """Kills every process, running inferences included."""
        for process in self._processes:
            process.close()
