"""A pool of inference processes, with a limit on parallel inferences for each model."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from queue import Empty, SimpleQueue

from node.inference.process import InferenceError, InferenceProcess
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults


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
        self._shadow_lock = threading.Lock()
        self._shadow: InferenceProcess | None = None  # the process of the shadow run, while it runs

    def load(self, model_ids: Sequence[str]) -> str:
        """Starts every process and loads these models in it; see `InferenceProcess.load`."""
        devices = [process.load(model_ids) for process in self._processes]
        return devices[0]

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        """Runs the job's model on its series; see `InferenceProcess.infer`."""
        with self._used(), self._model_limits.get(request.job.model_id, nullcontext()):
            process = self._process_for_job()
            try:
                return process.infer(request, other_results)
            finally:
                self._idle.put(process)

    def retire(self) -> None:
        """Ends the processes once no inference runs: another pool takes the next ones."""
        with self._lock:
            self._is_retired = True
            self._end_shadow_run()
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

    def infer_if_idle(self, request: InferenceRequest) -> InferenceResult | None:
        """Runs a shadow run on an idle process; returns None if there is none.

        A job that finds no idle process ends the shadow run, which then returns None as well. One
        shadow run at a time; see `InferenceProcess.infer` for the errors.
        """
        try:
            process = self._idle.get_nowait()
        except Empty:
            return None
        with self._used():
            with self._shadow_lock:
                self._shadow = process
            try:
                return process.infer_once(request)
            except InferenceError:
                if self._shadow is not process:  # a job has ended it
                    return None
                raise
            finally:
                with self._shadow_lock:
                    self._shadow = None
                self._idle.put(process)

    def _process_for_job(self) -> InferenceProcess:
        try:
            return self._idle.get_nowait()
        except Empty:
            self._end_shadow_run()
            return self._idle.get()

    def _end_shadow_run(self) -> None:
        with self._shadow_lock:
            shadow, self._shadow = self._shadow, None
            if shadow is not None:
                shadow.close()

    def close(self) -> None:
        """Kills every process, running inferences included."""
        for process in self._processes:
            process.close()
