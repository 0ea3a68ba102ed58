"""Several inferences at the same time, each in a process of its own."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue

from node.domain.job import Job, Replaced
from node.inference.process import InferenceProcess
from node.jobs.segment_step import Inferred


class InferencePool:
    """`count` processes; of a model that `most_of_model` names, only so many run at once.

    A job beyond that waits where it is until one of its model is done.
    """

    def __init__(
        self, make: Callable[[], InferenceProcess], count: int, most_of_model: Mapping[str, int]
    ) -> None:
        self._processes = [make() for _ in range(count)]
        self._free: SimpleQueue[InferenceProcess] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)
        self._turns = {
            model: threading.BoundedSemaphore(most) for model, most in most_of_model.items()
        }

    def load(self, model_ids: Sequence[str]) -> None:
        """Start all, with these models loaded; see `InferenceProcess.load`."""
        for process in self._processes:
            process.load(model_ids)

    def infer(self, job: Job, files: Sequence[Path], replaces: Replaced | None) -> Inferred:
        """What the job's model makes of the series; see `InferenceProcess.infer`."""
        with self._turns.get(job.model_id, nullcontext()):
            process = self._free.get()
            try:
                return process.infer(job, files, replaces)
            finally:
                self._free.put(process)

    def close(self) -> None:
        """End all at once, whatever they do."""
        for process in self._processes:
            process.close()
