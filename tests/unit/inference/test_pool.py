"""A pool that another one replaces ends its processes once its inferences have ended."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from node.inference.pool import InferencePool
from node.inference.process import InferenceProcess
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults
from tests.support.factories import SERIES, job_of

RESULT = InferenceResult((), b"", {}, {})


@dataclass
class SlowProcess:
    """An inference process whose inference ends when the test says so."""

    running: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def load(self, _model_ids: Sequence[str]) -> str:
        return "cpu"

    def infer(
        self, _request: InferenceRequest, _other_results: OtherResults | None = None
    ) -> InferenceResult:
        self.running.set()
        assert self.release.wait(60)
        assert not self.is_closed
        return RESULT

    def close(self) -> None:
        self.is_closed = True


def pool_of(process: SlowProcess) -> InferencePool:
    return InferencePool(lambda: cast("InferenceProcess", process), 1, {})


def test_an_idle_pool_ends_its_processes_at_once() -> None:
    process = SlowProcess()
    pool_of(process).retire()
    assert process.is_closed


def test_an_inference_that_runs_ends_before_its_process() -> None:
    process = SlowProcess()
    pool = pool_of(process)
    request = cast("InferenceRequest", _Request())
    thread = threading.Thread(target=pool.infer, args=(request,))
    thread.start()
    assert process.running.wait(60)
    pool.retire()
    assert not process.is_closed
    process.release.set()
    thread.join()
    assert process.is_closed


@dataclass(frozen=True)
class _Request:
    """The part of a request that a pool reads."""

    job = job_of(SERIES)
