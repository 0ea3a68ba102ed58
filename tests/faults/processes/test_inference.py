"""Inference that hangs, dies or fails: the job ends with a reason and the next job works."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from node.dicom.results.comparison.other_result import OtherResult
from node.domain.errors import Misconfigured, Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG
from node.inference.pool import InferencePool
from node.inference.process import InferenceError, InferenceProcess
from node.inference.spawned_child import prepare_child
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults
from tests.support.factories import job_of
from tests.support.processes.scripted_models import CollectorProbe, ConcurrencyProbe, Models
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 3.0
# On a busy machine the start of a process takes seconds.
WAIT_S = 120.0
JOB = job_of(Uid("1.2.3"))


def request_in(plan: Path) -> InferenceRequest:
    """A request whose objects are written beside the plan."""
    return InferenceRequest(JOB, (Path("a.dcm"),), plan.parent, (SEG,))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the process imports its models
    return tmp_path / "plan"


@pytest.fixture
def process(plan: Path) -> Iterator[InferenceProcess]:
    process = InferenceProcess(Models(plan), TIMEOUT_S, "warning")
    yield process
    process.close()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hang", "was ended after 3 s"),
        ("die", "ended by signal 9"),
        ("break", "ZeroDivisionError: by a defect"),
    ],
)
def test_the_next_inference_works_after_a_failure(
    process: InferenceProcess, plan: Path, word: str, message: str
) -> None:
    plan.write_text(f"{word} fine")
    with pytest.raises(InferenceError, match=message):
        process.infer(request_in(plan))
    assert process.infer(request_in(plan)).objects


def test_a_process_started_before_the_worker_is_the_first_one_in_use(
    process: InferenceProcess, plan: Path
) -> None:
    prepared = prepare_child().process.pid
    plan.write_text("fine die fine")
    process.infer(request_in(plan))
    assert process.pid == prepared
    with pytest.raises(InferenceError, match="ended by signal 9"):
        process.infer(request_in(plan))
    assert process.infer(request_in(plan)).objects
    assert process.pid != prepared


@pytest.mark.usefixtures("plan")
def test_garbage_collection_starts_after_the_first_load() -> None:
    process = InferenceProcess(CollectorProbe(), TIMEOUT_S, "warning")
    try:
        assert [process.load([]), process.load([])] == ["off", "on"]
    finally:
        process.close()


def test_a_transient_error_keeps_its_type(process: InferenceProcess, plan: Path) -> None:
    plan.write_text("wait fine")
    with pytest.raises(Transient, match="Stale file handle"):
        process.infer(request_in(plan))
    assert process.infer(request_in(plan)).objects


def test_a_refusal_keeps_its_reason_and_does_not_restart_the_process(
    process: InferenceProcess, plan: Path
) -> None:
    plan.write_text("fine refuse fine")
    process.infer(request_in(plan))
    first = process.pid
    with pytest.raises(Rejected, match="3 slices") as caught:
        process.infer(request_in(plan))
    assert caught.value.reason is RejectionReason.TOO_FEW_SLICES
    process.infer(request_in(plan))
    assert process.pid == first


def test_a_process_that_dies_between_jobs_is_restarted(
    process: InferenceProcess, plan: Path
) -> None:
    plan.write_text("fine")
    process.load(["liver-ct"])
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: not _runs(first), 10, "it to die")
    assert process.infer(request_in(plan)).objects


def test_a_stop_signal_to_the_inference_process_fails_no_job(
    process: InferenceProcess, plan: Path
) -> None:
    plan.write_text("fine")
    process.load(["liver-ct"])
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGTERM)
    assert process.infer(request_in(plan)).objects
    assert process.pid == first


def test_a_configuration_error_keeps_its_type(process: InferenceProcess) -> None:
    with pytest.raises(Misconfigured, match=r"^configuration: rules.model: model 'missing'"):
        process.load(["missing"])


@contextmanager
def _others() -> Iterator[Sequence[OtherResult]]:
    yield [OtherResult("organs-ct", "0.2", Path("other.dcm"), {})]


def test_the_results_to_compare_with_are_fetched_after_the_analysis(
    process: InferenceProcess, plan: Path
) -> None:
    plan.write_text("fine fine")
    left: list[str] = []

    @contextmanager
    def others() -> Iterator[Sequence[OtherResult]]:
        left.append(plan.read_text())
        with _others() as results:
            yield results
        left.append(plan.read_text())

    result = process.infer(request_in(plan), others)
    assert result.timings_s == {"organs-ct 0.2": 1.0}
    assert left == ["fine", ""], "they exist until the objects are written"


def test_a_refused_series_is_compared_with_nothing(process: InferenceProcess, plan: Path) -> None:
    plan.write_text("refuse")
    with pytest.raises(Rejected):
        process.infer(request_in(plan), _fail)
    plan.write_text("fine notice")
    assert process.infer(request_in(plan), _fail).refusal == "too few"


def _fail() -> AbstractContextManager[Sequence[OtherResult]]:
    raise AssertionError("nothing is to be compared")


@pytest.mark.parametrize("word", ["hang", "die", "break"])
def test_the_next_comparison_works_after_a_failure(
    process: InferenceProcess, plan: Path, word: str
) -> None:
    plan.write_text(f"fine {word} fine fine")
    with pytest.raises(InferenceError):
        process.infer(request_in(plan), _others)
    assert process.infer(request_in(plan), _others).timings_s == {"organs-ct 0.2": 1.0}


def test_a_job_that_hangs_twice_is_parked_and_the_next_job_is_delivered(
    process: InferenceProcess, plan: Path, tmp_path: Path
) -> None:
    class Parts(WorkerParts):
        def infer(
            self, request: InferenceRequest, other_results: OtherResults | None = None
        ) -> InferenceResult:
            return process.infer(request, other_results)

    plan.write_text("hang hang fine")
    parts = Parts(tmp_path)
    parts.start()
    try:
        parts.receive(1)
        parts.poll()
        until(lambda: parts.jobs()[-1].state is JobState.PARKED, WAIT_S, "it to be parked")
        parked = parts.jobs()[-1]
        assert "longest_inference_seconds" in parked.reason
        assert plan.read_text() == "fine"
        parts.receive(2)
        parts.poll()
        until(lambda: len(parts.jobs()) == 2, WAIT_S, "the second job")
        until(lambda: parts.jobs()[-1].state is JobState.DELIVERED, WAIT_S, "its delivery")
    finally:
        parts.stop()


@pytest.mark.parametrize(("limits", "together"), [({}, True), ({"liver-ct": 1}, False)])
def test_inferences_run_concurrently_up_to_the_limit_of_their_model(
    plan: Path, tmp_path: Path, limits: dict[str, int], together: bool
) -> None:
    pool = InferencePool(
        lambda: InferenceProcess(ConcurrencyProbe(tmp_path), 60.0, "warning"), 2, limits
    )
    try:
        pool.load(["liver-ct"])
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: pool.infer(request_in(plan)), range(2)))
    finally:
        pool.close()

    met = [file.read_text() == "met" for file in tmp_path.glob("*.end")]
    assert met == [together, together]


def test_a_job_ends_the_shadow_run_that_holds_the_only_process(plan: Path, tmp_path: Path) -> None:
    plan.write_text("hang")
    pool = InferencePool(lambda: InferenceProcess(Models(plan), 60.0, "warning"), 1, {})
    try:
        pool.load([])
        with ThreadPoolExecutor(1) as threads:
            shadow = threads.submit(pool.infer_if_idle, request_in(plan))
            until(lambda: plan.read_text() == "", WAIT_S, "the shadow run to begin")
            plan.write_text("fine")
            assert pool.infer(request_in(plan)).objects
            assert shadow.result(WAIT_S) is None
    finally:
        pool.close()


def test_a_job_stops_a_run_with_a_stop_file_and_the_process_goes_on(
    plan: Path, tmp_path: Path
) -> None:
    plan.write_text("until-stopped")
    pool = InferencePool(lambda: InferenceProcess(Models(plan), 60.0, "warning"), 1, {})
    request = replace(request_in(plan), stop_file=tmp_path / "stop")
    try:
        pool.load([])
        (process,) = pool._processes
        pid = process.pid
        with ThreadPoolExecutor(1) as threads:
            early = threads.submit(pool.infer_if_idle, request)
            until(lambda: plan.read_text() == "", WAIT_S, "the early run to begin")
            plan.write_text("fine")
            assert pool.infer(request_in(plan)).objects
            assert early.result(WAIT_S) is None
        assert process.pid == pid
    finally:
        pool.close()


def test_a_shadow_run_does_not_wait_for_a_process(plan: Path) -> None:
    plan.write_text("hang")
    pool = InferencePool(lambda: InferenceProcess(Models(plan), 60.0, "warning"), 1, {})
    try:
        with ThreadPoolExecutor(1) as threads:
            job = threads.submit(pool.infer, request_in(plan))
            until(lambda: plan.read_text() == "", WAIT_S, "the job to begin")
            assert pool.infer_if_idle(request_in(plan)) is None
            pool.close()
            with pytest.raises(InferenceError):
                job.result(WAIT_S)
    finally:
        pool.close()


def _runs(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()
