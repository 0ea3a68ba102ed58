"""A series that appears complete is segmented early, and decided at the end of its quiet time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from node.dicom.results.comparison.other_result import OtherResult
from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.findings import FindingKind
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, ReplacedResult
from node.domain.queues.pause import INFERENCE, Pause
from node.domain.queues.selection import Interface
from node.domain.result_objects import SEG, ResultKind, ResultObject
from node.domain.series import AcquisitionChoice, Deletion, SeriesState
from node.jobs.inference import InferenceRequest, InferenceResult
from node.routing.conditions import Equals
from node.routing.rules import Rule
from node.store.schema import INSTANCES
from tests.support.factories import NOON, SERIES
from tests.support.processes.empty_result import empty_result
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

QUIET_S = 10.0
WAIT_S = 30.0
SR = ResultObject(ResultKind.SR)
OTHER_MODEL = Rule("organs", "organs-ct", ("archive",), Equals("Modality", "CT"), QUIET_S)


@dataclass
class EarlyWorker(WorkerParts):
    """A worker whose quiet time passes when the test says so."""

    quiet_seconds: float = QUIET_S
    time_s: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        self.clock = lambda: self.time_s[0]

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.time_s[0])

    def poll_after(self, seconds: float = 0.0) -> None:
        """Polls after so many seconds."""
        self.time_s[0] += seconds
        self.early_start.poll()
        self.job_scheduler.poll()

    def receive_quietly(self, *numbers: int) -> None:
        """Receives images, after which the series appears complete."""
        for number in numbers:
            self.receive(number)
        self.poll_after()
        self.poll_after(2.0)

    def early_run_begins(self, count: int = 1) -> None:
        until(lambda: len(self.early_model.requests) == count, WAIT_S, "an early run")

    def early_run_ends(self) -> None:
        self.early_model.may_finish.set()
        until(lambda: not self.early_runs.is_busy, WAIT_S, "the early run to end")

    def complete(self) -> Job:
        """Lets the rest of the quiet time pass; returns the job when it has ended."""
        self.poll_after(QUIET_S)
        return self.ended_job()

    def events(self) -> list[str]:
        subjects = [SERIES, *(job.job_id for job in self.jobs())]
        return [event.event for event in self.store.history_of_all(subjects)]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[EarlyWorker]:
    made = EarlyWorker(tmp_path)
    made.start()
    yield made
    made.early_runs.discard_all()
    made.stop()


def scratch(worker: EarlyWorker) -> list[Path]:
    """The files that an early run leaves behind."""
    return [path for path in worker.folder.rglob("0001.dcm") if "results" not in path.parts]


def test_where_nothing_arrives_the_early_result_is_delivered_at_the_end_of_the_quiet_time(
    worker: EarlyWorker,
) -> None:
    worker.receive_quietly(1, 2)
    worker.early_run_ends()
    worker.poll_after(2.0)
    assert len(worker.early_model.requests) == 1
    assert (worker.jobs(), worker.pacs.received, worker.events()) == ((), [], [])
    assert not (worker.folder / "results").exists()
    assert scratch(worker)

    job = worker.complete()
    assert job.state is JobState.DELIVERED
    assert worker.requests == [], "it was segmented once, early"
    assert len(worker.pacs.received) == 1
    assert job.instance_count == 2
    assert job.created_at == worker.early_model.requests[0].job.created_at
    assert job.measurements["Liver"] == {"volume_ml": 1500.0}
    assert "job.early_result_used" in worker.events()
    assert worker.events().index("series.accepted") < worker.events().index("job.queued")
    assert not scratch(worker), "the temporary files are gone"


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_further_image_discards_the_early_run_and_all_images_are_segmented(
    worker: EarlyWorker, is_finished: bool
) -> None:
    worker.receive_quietly(1, 2)
    worker.early_run_begins()
    if is_finished:
        worker.early_run_ends()
    worker.receive(3)
    worker.poll_after(0.1)
    until(lambda: not worker.early_runs.is_busy, WAIT_S, "it to stop")
    until(lambda: not scratch(worker), WAIT_S, "its files to be deleted")
    worker.poll_after(5.0)
    worker.early_run_begins(2)
    worker.early_run_ends()
    job = worker.complete()
    assert (job.state, job.instance_count) == (JobState.DELIVERED, 3)
    assert len(worker.jobs()) == 1
    assert len(worker.pacs.received) == 1
    assert worker.requests == []
    (thread,) = worker.early_model.threads
    assert thread.is_alive(), "an inference process that it has started would end with it"
    (event,) = worker.store.history_of(SERIES)[:1]
    assert event.event == "series.early_run_discarded"
    assert "2 instances then, 3 instances now" in event.detail


def test_an_image_that_arrives_after_the_last_look_makes_the_early_result_useless(
    worker: EarlyWorker,
) -> None:
    worker.receive_quietly(1)
    worker.early_run_ends()
    worker.receive(2)
    worker.store.request_start(SERIES, worker.now())
    worker.poll_after()
    assert worker.ended_job().instance_count == 2
    assert [request.job.instance_count for request in worker.requests] == [2]
    assert len(worker.pacs.received) == 1


def test_a_job_that_comes_to_be_during_its_early_run_waits_for_it(worker: EarlyWorker) -> None:
    worker.receive_quietly(1)
    worker.early_run_begins()
    worker.poll_after(QUIET_S)
    (job,) = worker.jobs()
    until(lambda: not worker.early_model.may_end(), WAIT_S, "the job to wait for it")
    worker.early_model.is_needed = True  # by another job, which must wait now
    worker.early_model.may_finish.set()
    assert worker.ended_job().job_id == job.job_id
    assert worker.requests == []
    assert len(worker.pacs.received) == 1


def test_a_job_ends_an_early_run_whose_job_runs_as_usual_later(worker: EarlyWorker) -> None:
    worker.receive_quietly(1)
    worker.early_run_begins()
    worker.early_model.is_needed = True
    until(lambda: not worker.early_runs.is_busy, WAIT_S, "it to end")
    worker.early_model.has_idle = False
    worker.poll_after(1.0)
    assert len(worker.early_model.requests) == 1
    assert worker.complete().state is JobState.DELIVERED
    assert len(worker.requests) == 1


def refused(_request: InferenceRequest) -> InferenceResult:
    raise Rejected(RejectionReason.TOO_FEW_SLICES, "a gap")


def with_notice(request: InferenceRequest) -> InferenceResult:
    return replace(empty_result(request), refusal="a gap")


def crashed(_request: InferenceRequest) -> InferenceResult:
    raise RuntimeError("its process was ended by signal 9")


def unreadable(_request: InferenceRequest) -> InferenceResult:
    raise Transient("the disk does not answer")


@pytest.mark.parametrize("failure", [refused, with_notice, crashed, unreadable])
def test_a_failure_of_the_early_run_is_not_reported_and_decided_by_the_job(
    worker: EarlyWorker, failure: Callable[[InferenceRequest], InferenceResult]
) -> None:
    worker.early_model.on_early_run += [failure] * 10
    worker.receive_quietly(1)
    worker.early_run_ends()
    for _ in range(3):
        worker.poll_after(1.0)
        until(lambda: not worker.early_runs.is_busy, WAIT_S, "a run to end")
    assert len(worker.early_model.requests) <= 2
    until(lambda: not scratch(worker), WAIT_S, "their files to be deleted")
    assert (worker.jobs(), worker.events()) == ((), [])
    worker.refusal = "The series has a gap." if failure in (refused, with_notice) else ""
    job = worker.complete()
    expected = JobState.REFUSED if worker.refusal else JobState.DELIVERED
    assert (job.state, job.reason) == (expected, worker.refusal)
    assert len(worker.requests) == 1


@pytest.mark.parametrize("change", ["rules", "model", "off"])
def test_a_result_of_another_configuration_is_not_used(worker: EarlyWorker, change: str) -> None:
    worker.receive_quietly(1)
    worker.early_run_ends()
    match change:
        case "rules":
            worker.series_completion.rules = [OTHER_MODEL]
        case "model":
            worker.installed = "2.0"
        case "off":
            worker.early_runs.discard_all()
    job = worker.complete()
    assert job.state is JobState.DELIVERED
    assert len(worker.requests) == 1
    worker.poll_after()
    assert not worker.early_runs.jobs()
    assert not scratch(worker)


def test_a_worker_that_starts_anew_segments_as_usual(worker: EarlyWorker, tmp_path: Path) -> None:
    worker.receive_quietly(1)
    worker.early_run_ends()
    worker.early_runs = worker.early_runs.__class__(
        worker.store, worker.early_model, worker.now
    )  # the memory of the process is gone
    worker.series_completion.began_at = worker.early_runs.began_at
    worker.early_start.runs = worker.early_runs
    worker.early_model.has_idle = False
    job = worker.complete()
    assert job.state is JobState.DELIVERED
    assert len(worker.pacs.received) == 1


def test_a_series_that_arrives_slowly_does_not_appear_complete_in_its_pauses(
    worker: EarlyWorker,
) -> None:
    worker.early_model.has_idle = False
    worker.receive(1)
    worker.poll_after(3.0)
    worker.receive(2)
    worker.early_model.has_idle = True
    worker.poll_after()
    worker.poll_after(5.0)
    assert worker.early_model.requests == []
    worker.poll_after(1.5)
    worker.early_run_begins()


def test_nothing_begins_early_while_the_inference_is_paused_or_a_job_waits(
    worker: EarlyWorker,
) -> None:
    worker.store.pause_queue(Pause(INFERENCE, worker.now(), Interface.CLI))
    worker.receive_quietly(1)
    assert worker.early_model.requests == []
    worker.poll_after(QUIET_S)
    (job,) = worker.jobs()
    assert job.state is JobState.QUEUED


def test_images_that_wait_for_their_early_result_are_not_deleted(worker: EarlyWorker) -> None:
    worker.receive_quietly(1)
    worker.early_run_ends()
    person = AuditActor("someone", AuditInterface.CLI)
    deletion = worker.store.delete_series(SERIES, worker.now(), by=person, reason="a test")
    assert deletion is Deletion.UNFINISHED
    assert worker.complete().state is JobState.DELIVERED


def test_rules_that_divide_a_series_start_nothing_early(tmp_path: Path) -> None:
    worker = EarlyWorker(tmp_path, acquisitions=AcquisitionChoice.EACH)
    worker.start()
    try:
        worker.receive_quietly(1)
        assert worker.early_model.requests == []
        assert worker.complete().state is JobState.DELIVERED
    finally:
        worker.stop()


@pytest.mark.parametrize("others", [[], [OtherResult("organs-ct", "1.0", Path("a.dcm"), {})]])
def test_a_job_with_a_result_to_compare_with_runs_as_usual(
    worker: EarlyWorker, tmp_path: Path, others: list[OtherResult]
) -> None:
    request = requested_later(worker, tmp_path / "output")

    @contextmanager
    def other_results() -> Iterator[Sequence[OtherResult]]:
        yield others

    result = worker.early_runs.infer(request, other_results)
    assert len(worker.requests) == len(others)
    assert all(file.parent.parent == request.output for file in result.objects[0].files)
    assert result.objects[0].files[0].exists()
    assert not worker.early_runs.jobs()


OTHER_REQUESTS: dict[str, Callable[[InferenceRequest], InferenceRequest]] = {
    "marks": lambda request: replace(request, mark_on=frozenset({FindingKind.HOLES})),
    "objects": lambda request: replace(request, objects=(SEG, SR)),
    "replaces": lambda request: replace(request, replaces=ReplacedResult(Uid("1.2"), 1, "1.0")),
    "destinations": lambda request: with_job(request, destinations=("pacs",)),
    "time": lambda request: with_job(request, created_at=request.job.updated_at + timedelta(1)),
    "images": lambda request: with_job(request, series_digest="another"),
}


def with_job(request: InferenceRequest, **changes: Any) -> InferenceRequest:
    return replace(request, job=replace(request.job, **changes))


@pytest.mark.parametrize("change", OTHER_REQUESTS.values(), ids=OTHER_REQUESTS)
def test_a_job_that_asks_for_something_else_runs_as_usual(
    worker: EarlyWorker,
    tmp_path: Path,
    change: Callable[[InferenceRequest], InferenceRequest],
) -> None:
    request = change(requested_later(worker, tmp_path / "output"))
    worker.early_runs.infer(request)
    assert worker.requests == [request]
    assert not worker.early_runs.jobs()


def test_an_image_with_another_content_makes_the_early_result_useless(
    worker: EarlyWorker, tmp_path: Path
) -> None:
    request = requested_later(worker, tmp_path / "output")
    with worker.store._database.writing() as connection:
        connection.execute(update(INSTANCES).values(dataset_digest="0" * 64))
    worker.early_runs.infer(request)
    assert worker.requests == [request]


def requested_later(worker: EarlyWorker, output: Path) -> InferenceRequest:
    """The request of the job whose early run has ended."""
    output.mkdir()
    worker.receive_quietly(1)
    worker.early_run_begins()
    worker.early_run_ends()
    (early,) = worker.early_model.requests
    job = replace(early.job, state=JobState.RUNNING, updated_at=worker.now(), turn=3)
    return replace(early, job=job, output=output, stop_file=None)


def test_a_series_that_no_rule_matches_starts_nothing_early(worker: EarlyWorker) -> None:
    worker.series_completion.rules = [replace(OTHER_MODEL, when=Equals("Modality", "MR"))]
    worker.receive_quietly(1)
    assert worker.early_model.requests == []
    worker.poll_after(QUIET_S)
    series = worker.store.get_series(SERIES)
    assert series is not None
    assert series.state is SeriesState.IGNORED
