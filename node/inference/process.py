"""The models in a process of their own, which is ended when it hangs and started anew when it dies.

`node.inference.child` is that process.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from node.domain.errors import Misconfigured, NodeError, Rejected, RejectionReason, Transient
from node.domain.job import Job, Replaced
from node.inference.models import WarmModels
from node.jobs.segment_step import Inferred

# Weights of a gigabyte, from a slow disk, onto a GPU that others use.
_LONGEST_LOADING_S = 600.0
_END_S = 10.0
_CHILD = "node.inference.child"


class InferenceFailed(NodeError):
    """The process came to no result: it was ended, died, or met a defect."""


class ProcessDied(InferenceFailed):
    """The process is no more, and not by our hand."""


@dataclass(frozen=True)
class Told:
    """An error on its way from the process to its master; only a refusal has a reason."""

    message: str
    trace: str
    reason: RejectionReason | None = None
    is_transient: bool = False
    is_misconfigured: bool = False


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    connection: "Connection[Any, Any]"


class InferenceProcess:
    """Runs `models` in another process, one job at a time, for at most `longest_s` each."""

    def __init__(self, models: WarmModels, longest_s: float, log_level: str) -> None:
        self._models = models
        self._longest_s = longest_s
        self._log_level = log_level
        self._child: _Child | None = None
        self._one_at_a_time = threading.Lock()

    def load(self, model_ids: Sequence[str]) -> None:
        """Start, with these models loaded.

        Raises:
            Misconfigured: a package is damaged or not installed, or the device is not there.
            InferenceFailed: the process died, or the models were not loaded within ten minutes.
        """
        with self._one_at_a_time:
            self._ask("load", model_ids, within_s=_LONGEST_LOADING_S)

    def infer(self, job: Job, files: Sequence[Path], replaces: Replaced | None) -> Inferred:
        """What the job's model makes of the series in `files`.

        Raises:
            Rejected: the series is not for this model.
            Transient: the disk with its files does not answer.
            InferenceFailed: it took too long, the process died, or it met a defect.
        """
        with self._one_at_a_time:
            # Apart from the time for the job: after a fall, the model is loaded first.
            try:
                self._ask("load", [job.model_id], within_s=_LONGEST_LOADING_S)
            except ProcessDied:  # while it had nothing to do, perhaps: not for this job
                self._ask("load", [job.model_id], within_s=_LONGEST_LOADING_S)
            result = self._ask("infer", job, files, replaces, within_s=self._longest_s)
        assert isinstance(result, Inferred)  # noqa: S101 what `WarmModels.infer` returns
        return result

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return None if self._child is None else self._child.process.pid

    def close(self) -> None:
        """End the process at once, whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            child.process.kill()
            child.process.wait()
            child.connection.close()

    def _ask(self, method: str, *arguments: object, within_s: float) -> object:
        child = self._living()
        try:
            child.connection.send((method, arguments))
            if not child.connection.poll(within_s):
                self.close()
                raise InferenceFailed(
                    f"it was ended after {within_s:g} s without a result "
                    "(worker.longest_inference_seconds)"
                )
            answer = child.connection.recv()
        except (EOFError, OSError) as error:
            raise ProcessDied(self._how_it_died(child)) from error
        if isinstance(answer, Told):
            raise _error_of(answer)
        return answer

    def _living(self) -> _Child:
        if self._child is not None and self._child.process.poll() is not None:
            self.close()
        if self._child is None:
            self._child = self._started()
        return self._child

    def _started(self) -> _Child:
        ours, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-m", "node.processes.child_process", str(os.getpid())]
            process = subprocess.Popen(
                [*command, _CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                process_group=0,
                stdin=subprocess.DEVNULL,
            )
        ours.send((self._models, self._log_level))
        return _Child(process, ours)

    def _how_it_died(self, child: _Child) -> str:
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(_END_S)
        status = child.process.poll()
        self.close()
        if status is not None and status < 0:
            return f"its process was ended by signal {-status}, as the system does without memory"
        return f"its process ended with status {status}"


def _error_of(told: Told) -> NodeError:
    if told.reason is not None:
        return Rejected(told.reason, told.message)
    if told.is_transient:
        return Transient(told.message)
    if told.is_misconfigured:
        error = Misconfigured("")
        error.args = (told.message,)  # its place stands in the message already
        return error
    failed = InferenceFailed(told.message)
    failed.add_note(told.trace)
    return failed
