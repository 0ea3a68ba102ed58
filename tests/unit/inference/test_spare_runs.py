"""Runs that no job waits for use an idle process, and give it to a job."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import highdicom as hd
import pytest

from models.inference.prediction import Prediction
from node.domain.texts.result_texts import ResultTexts
from node.inference import pool as pool_module
from node.inference.job_run import JobRun
from node.inference.pool import InferencePool
from node.inference.process import InferenceError, InferenceProcess
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults, RunStopped
from tests.support.dicom.builders import ThresholdSegmenter, ct_series
from tests.support.factories import SERIES, job_of
from tests.support.waiting import until

RESULT = InferenceResult((), b"", {}, {})
WAIT_S = 60.0


@dataclass
class StoppableProcess:
    """A process whose spare runs end by their stop file, or when the test or `close` ends them."""

    obeys: bool = True
    running: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def infer(
        self, _request: InferenceRequest, _other_results: OtherResults | None = None
    ) -> InferenceResult:
        return RESULT

    def infer_once(self, request: InferenceRequest) -> InferenceResult:
        self.running.set()
        stop_file = request.stop_file

        def has_ended() -> bool:
            is_stopped = self.obeys and stop_file is not None and stop_file.exists()
            return is_stopped or self.release.is_set() or self.is_closed

        until(has_ended, WAIT_S, "the run to end", poll_s=0.002)
        if self.is_closed:
            raise InferenceError("it was killed")
        if self.release.is_set():
            return RESULT
        raise RunStopped("stopped")

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def pool_of(*processes: StoppableProcess, limits: dict[str, int] | None = None) -> InferencePool:
    made = iter(processes)
    return InferencePool(lambda: cast("InferenceProcess", next(made)), len(processes), limits or {})


def request_in(folder: Path) -> InferenceRequest:
    return InferenceRequest(job_of(SERIES), (), folder, (), stop_file=folder / "stop")


def test_a_job_stops_a_spare_run_and_keeps_its_process(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    process = StoppableProcess()
    pool = pool_of(process)
    spare = threads.submit(pool.infer_if_idle, request_in(tmp_path))
    assert process.running.wait(WAIT_S)
    assert not pool.has_idle
    assert pool.infer(request_in(tmp_path)) is RESULT
    assert spare.result(WAIT_S) is None
    assert not process.is_closed, "the models stay loaded"
    assert pool.has_idle


def test_a_job_waits_for_a_spare_run_whose_own_job_waits_for_it(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    process = StoppableProcess()
    pool = pool_of(process)
    asked = threading.Event()

    def may_end() -> bool:
        asked.set()
        return False

    spare = threads.submit(pool.infer_if_idle, request_in(tmp_path), may_end)
    assert process.running.wait(WAIT_S)
    job = threads.submit(pool.infer, request_in(tmp_path))
    assert asked.wait(WAIT_S)
    assert not (tmp_path / "stop").exists()
    process.release.set()
    assert spare.result(WAIT_S) is RESULT
    assert job.result(WAIT_S) is RESULT


def test_a_spare_run_that_does_not_stop_is_killed(
    threads: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_STOP_TIMEOUT_S", 0.01)
    process = StoppableProcess(obeys=False)
    pool = pool_of(process)
    spare = threads.submit(pool.infer_if_idle, request_in(tmp_path))
    assert process.running.wait(WAIT_S)
    assert pool.infer(request_in(tmp_path)) is RESULT
    assert spare.result(WAIT_S) is None
    assert process.is_closed


def test_a_job_at_the_limit_of_its_model_stops_a_spare_run_of_it(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    processes = StoppableProcess(), StoppableProcess()
    pool = pool_of(*processes, limits={"liver-ct": 1})
    spare = threads.submit(pool.infer_if_idle, request_in(tmp_path))
    assert processes[0].running.wait(WAIT_S)
    assert pool.infer_if_idle(request_in(tmp_path)) is None, "it would be beyond the limit"
    assert pool.infer(request_in(tmp_path)) is RESULT
    assert spare.result(WAIT_S) is None
    assert not any(process.is_closed for process in processes)


def test_a_pool_that_is_replaced_stops_its_spare_run(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    process = StoppableProcess()
    pool = pool_of(process)
    spare = threads.submit(pool.infer_if_idle, request_in(tmp_path))
    assert process.running.wait(WAIT_S)
    pool.retire()
    assert spare.result(WAIT_S) is None
    assert process.is_closed


@dataclass(frozen=True)
class _NeededSoon(ThresholdSegmenter):
    """While it runs, a job comes that needs the process."""

    stop_file: Path = Path()

    def predict(
        self, volume: hd.Volume, progress: Callable[[float], None] | None = None
    ) -> Prediction:
        self.stop_file.touch()
        super().predict(volume, progress)
        raise AssertionError("it has not stopped")


@pytest.mark.parametrize("when", ["before", "within"])
def test_the_run_of_a_model_ends_at_its_next_step_once_the_stop_file_exists(
    tmp_path: Path, when: str
) -> None:
    (output := tmp_path / "output").mkdir()
    files = () if when == "before" else tuple(ct_series().write(tmp_path / "ct"))
    request = replace(request_in(output), files=files)
    if when == "before":
        (output / "stop").touch()
    run = JobRun(request, _NeededSoon(stop_file=output / "stop"), ResultTexts())
    with pytest.raises(RunStopped):
        run.analyse()
