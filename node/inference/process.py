"""A child process that runs the models; it is killed when it hangs and restarted after it died.

`node.inference.child` is the program of that process.
"""

import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from node.domain.errors import Misconfigured, NodeError, Rejected, RejectionReason, Transient
from node.inference.loaded_models import LoadedModels
from node.inference.spawned_child import SpawnedChild, prepared_or_new_child
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults, RunStopped

# Enough for a gigabyte of weights from a slow disk onto a shared GPU.
_LOAD_TIMEOUT_S = 600.0
_EXIT_WAIT_S = 10.0


class InferenceError(NodeError):
    """The process returned no result: it timed out, died, or raised an unexpected error."""


class InferenceProcessDied(InferenceError):
    """The process ended, and not because `InferenceProcess` ended it."""


@dataclass(frozen=True)
class ErrorReport:
    """An error in the form that crosses the pipe; `reason` is set for `Rejected` alone."""

    message: str
    trace: str
    reason: RejectionReason | None = None
    is_transient: bool = False
    is_misconfigured: bool = False
    is_stopped: bool = False


class InferenceProcess:
    """Runs `models` in another process, one job at a time, for at most `timeout_s` each."""

    def __init__(self, models: LoadedModels, timeout_s: float, log_level: str) -> None:
        self._models = models
        self._timeout_s = timeout_s
        self._log_level = log_level
        self._child: SpawnedChild | None = None
        self._lock = threading.Lock()

    def load(self, model_ids: Sequence[str]) -> str:
        """Starts the process and loads these models in it; returns the name of the device.

        Raises:
            Misconfigured: a package is damaged or not installed, or the device does not exist.
            InferenceError: the process died, or loading took longer than ten minutes.
        """
        with self._lock:
            return str(self._call("load", model_ids, timeout_s=_LOAD_TIMEOUT_S))

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        """Runs the job's model on its series.

        With `other_results`, the process waits for these once it knows the organs. Its timeout does
        not include that.

        Raises:
            Rejected: the series is not suitable for this model.
            Transient: the disk with its files does not answer.
            InferenceError: it timed out, the process died, or it raised an unexpected error.
        """
        with self._lock:
            # A restarted process loads the model first; the job's timeout does not include that.
            try:
                self._call("load", [request.job.model_reference], timeout_s=_LOAD_TIMEOUT_S)
            except InferenceProcessDied:  # possibly while it was idle, so not because of this job
                self._call("load", [request.job.model_reference], timeout_s=_LOAD_TIMEOUT_S)
            if other_results is None:
                result = self._call("infer", request, timeout_s=self._timeout_s)
            else:
                result = self._infer_and_compare(request, other_results)
        assert isinstance(result, InferenceResult)  # noqa: S101 the return type of `LoadedModels.infer`
        return result

    def infer_once(self, request: InferenceRequest) -> InferenceResult:
        """Runs the job's model on its series; ends with an error once `close` is called.

        Raises as `infer`, and `RunStopped`.
        """
        with self._lock:
            self._call("load", [request.job.model_reference], timeout_s=_LOAD_TIMEOUT_S)
            result = self._call("infer", request, timeout_s=self._timeout_s)
        assert isinstance(result, InferenceResult)  # noqa: S101 the return type of `LoadedModels.infer`
        return result

    def _infer_and_compare(self, request: InferenceRequest, other_results: OtherResults) -> object:
        started = time.monotonic()
        refusal = self._call("analyse", request, timeout_s=self._timeout_s)
        if refusal is not None:
            return refusal
        rest_s = max(0.0, self._timeout_s - (time.monotonic() - started))
        with other_results() as others:
            return self._call("finish", others, timeout_s=rest_s)

    @property
    def pid(self) -> int | None:
        """The process id; None when no process is running."""
        return None if self._child is None else self._child.process.pid

    def close(self) -> None:
        """Kills the process, a running inference included."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _call(self, method: str, *arguments: object, timeout_s: float) -> object:
        child = self._running_child()
        try:
            child.connection.send((method, arguments))
            if not child.connection.poll(timeout_s):
                self.close()
                raise InferenceError(
                    f"it was ended after {timeout_s:g} s without a result "
                    "(worker.longest_inference_seconds)"
                )
            answer = child.connection.recv()
        except (EOFError, OSError) as error:
            raise InferenceProcessDied(self._exit_description(child)) from error
        if isinstance(answer, ErrorReport):
            raise _error_from(answer)
        return answer

    def _running_child(self) -> SpawnedChild:
        if self._child is not None and self._child.process.poll() is not None:
            self.close()
        if self._child is None:
            self._child = self._start_child()
        return self._child

    def _start_child(self) -> SpawnedChild:
        child = prepared_or_new_child()
        child.connection.send((self._models, self._log_level))
        return child

    def _exit_description(self, child: SpawnedChild) -> str:
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(_EXIT_WAIT_S)
        status = child.process.poll()
        self.close()
        if status is not None and status < 0:
            return (
                f"its process was ended by signal {-status}, "
                "as the operating system does when memory runs out"
            )
        return f"its process ended with status {status}"


def _error_from(report: ErrorReport) -> NodeError:
    if report.reason is not None:
        return Rejected(report.reason, report.message)
    if report.is_transient:
        return Transient(report.message)
    if report.is_stopped:
        return RunStopped(report.message)
    if report.is_misconfigured:
        error = Misconfigured("")
        error.args = (report.message,)  # the message names the file and key already
        return error
    failure = InferenceError(report.message)
    failure.add_note(report.trace)
    return failure
