"""The workflow of a job on the real engine and store, with a model and destinations of the test."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from dbos import DBOS
from pydicom import dcmread

from node.domain.delivery import DeliveryState
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.job import Job, JobState, ReplacedResult, result_identity
from node.jobs.segment_step import SegmentStep
from node.jobs.workflow import RunState
from node.store import IllegalChange
from tests.support.factories import SERIES
from tests.support.processes.worker_parts import WorkerParts, failing
from tests.support.waiting import until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WorkerParts]:
    """A node that runs."""
    made = WorkerParts(tmp_path)
    made.start()
    yield made
    made.stop()


def test_a_job_brings_its_result_to_every_destination(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.settled()

    assert job.state is JobState.DELIVERED
    assert {"waited", "segment", "deliver"} <= job.timings_s.keys()
    assert job.measurements == {"Liver": {"volume_ml": 1500.0}}
    assert job.result_path is not None
    assert job.picture_path is not None
    assert job.picture_path.read_bytes() == b"a picture"
    assert dcmread(job.result_path).SOPInstanceUID == result_identity(job.job_id).sop_instance_uid
    assert [result.path for result in node.pacs.taken] == [job.result_path]
    assert len(list((node.folder / "archive").rglob("*.dcm"))) == 1


def test_starting_a_job_again_runs_it_once(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.settled()
    node.workflows.start_job(job, 1)
    node.job_scheduler.poll()
    node.job_scheduler.repair()

    assert len(node.replaces) == 1
    assert len(node.pacs.taken) == 1


def test_a_series_that_is_not_for_the_model_is_refused_in_plain_words(node: WorkerParts) -> None:
    node.during.append(failing(Rejected(RejectionReason.TOO_FEW_SLICES, "It has 3 slices.")))
    node.receive()
    node.poll()
    job = node.settled()

    assert (job.state, job.reason) == (JobState.REFUSED, "It has 3 slices.")
    assert node.pacs.taken == []


def test_a_defect_is_tried_twice_then_parked_and_a_person_can_retry(node: WorkerParts) -> None:
    node.during += [failing(ZeroDivisionError("of the test")) for _ in range(2)]
    node.receive()
    node.poll()
    job = node.settled()
    assert job.state is JobState.PARKED
    assert "ZeroDivisionError: of the test" in job.reason
    traces = [e.detail for e in node.store.audit_of(job.job_id) if e.event == "defect"]
    assert len(traces) == 2
    assert "Traceback" in traces[0]

    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.settled().state is JobState.DELIVERED


def test_a_passing_trouble_is_waited_out_however_often_it_is_met(node: WorkerParts) -> None:
    node.during += [failing(Transient("the disk is full")) for _ in range(6)]
    node.receive()
    node.poll()
    job = node.settled()

    assert job.state is JobState.DELIVERED
    assert job.reason == ""
    assert len(node.store.failed_attempts(job.job_id)) == 6
    assert len(node.pacs.taken) == 1


def test_a_job_that_meets_nothing_but_trouble_is_given_up_at_its_age_and_can_be_retried(
    tmp_path: Path,
) -> None:
    node = WorkerParts(tmp_path, give_up_after=timedelta(seconds=0.3))
    node.start()
    node.during += [failing(Transient("the disk is full")) for _ in range(1000)]
    node.receive()
    node.poll()
    job = node.settled()
    assert job.state is JobState.PARKED
    assert re.fullmatch(r"given up after \d+ s: the disk is full", job.reason)
    assert node.store.deliveries_of(job.job_id) == (), "their age counts once there is a result"

    node.during[1:] = []
    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    job = node.settled()
    node.stop()
    assert job.state is JobState.DELIVERED, job.reason
    assert len(node.store.failed_attempts(job.job_id)) == 1, "those since a person began anew"


def test_a_destination_that_comes_up_later_gets_the_result_once(node: WorkerParts) -> None:
    node.pacs.answers += [Transient("it does not answer") for _ in range(3)]
    node.receive()
    node.poll()
    job = node.settled()

    assert job.state is JobState.DELIVERED
    assert len(node.pacs.taken) == 1
    attempts = {d.destination: d.attempts for d in node.store.deliveries_of(job.job_id)}
    assert attempts == {"archive": 1, "pacs": 4}


def test_a_destination_that_refuses_parks_the_job_with_its_words(node: WorkerParts) -> None:
    node.pacs.answers.append(Rejected(RejectionReason.INVALID_INSTANCE, "SEG is not stored here"))
    node.receive()
    node.poll()
    job = node.settled()

    assert job.state is JobState.PARKED
    assert job.reason == "not delivered to pacs: SEG is not stored here"
    assert len(list((node.folder / "archive").rglob("*.dcm"))) == 1

    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.settled().state is JobState.DELIVERED
    assert len(node.replaces) == 1, "the model ran once; its result was kept"


def test_a_job_that_is_run_again_gives_the_same_instance_anew(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    first = node.settled()
    node.store.rerun_job(first.job_id, node.now())
    assert first.result_path is not None
    assert not first.result_path.exists()
    node.job_scheduler.poll()
    second = node.settled()

    assert (second.job_id, second.state) == (first.job_id, JobState.DELIVERED)
    assert len(node.replaces) == 2, "the model ran twice"
    one, other = node.pacs.taken
    assert one == other


def test_a_refused_job_can_be_run_again(node: WorkerParts) -> None:
    node.during.append(failing(Rejected(RejectionReason.TOO_FEW_SLICES, "It has 3 slices.")))
    node.receive()
    node.poll()
    refused = node.settled()
    assert refused.state is JobState.REFUSED
    node.store.rerun_job(refused.job_id, node.now())
    node.job_scheduler.poll()

    assert node.settled().state is JobState.DELIVERED


def test_a_job_under_way_and_one_without_images_cannot_be_run_again(node: WorkerParts) -> None:
    node.receive()
    node.store.request_start(SERIES, node.now())
    node.series_completion.poll()
    (job,) = node.jobs()
    with pytest.raises(IllegalChange, match="is queued"):
        node.store.rerun_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.settled().state is JobState.DELIVERED
    assert node.store.clear_series(SERIES, node.now())
    with pytest.raises(IllegalChange, match="have been deleted"):
        node.store.rerun_job(job.job_id, node.now())


@pytest.mark.parametrize(
    "ages",
    [
        {"give_up_after": timedelta(seconds=0.3)},
        {"pacs_give_up_after": timedelta(seconds=0.3)},
    ],
    ids=["of all", "of the destination"],
)
def test_a_delivery_is_given_up_at_its_age(tmp_path: Path, ages: dict[str, timedelta]) -> None:
    node = WorkerParts(tmp_path, **ages)  # type: ignore[arg-type] # names of ages alone
    node.start()
    node.pacs.answers += [Transient("it does not answer") for _ in range(1000)]
    node.receive()
    node.poll()
    job = node.settled()
    node.stop()

    assert job.state is JobState.PARKED
    assert "given up after" in job.reason
    assert "it does not answer" in job.reason


def test_a_job_superseded_while_the_model_runs_is_not_delivered(node: WorkerParts) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        inside.set()
        go_on.wait(20)

    node.during.append(hold)
    node.receive(1)
    node.poll()
    assert inside.wait(20)
    node.receive(2)
    node.poll()
    go_on.set()
    node.settled()

    first, second = node.jobs()
    assert (first.state, second.state) == (JobState.SUPERSEDED, JobState.DELIVERED)
    assert [r.sop_instance_uid for r in node.pacs.taken] == [
        result_identity(second.job_id).sop_instance_uid
    ]


def test_a_late_slice_gives_a_result_that_names_the_one_it_replaces(node: WorkerParts) -> None:
    node.receive(1)
    node.poll()
    first = node.settled()
    node.receive(2)
    node.poll()
    node.settled()

    assert node.replaces == [
        None,
        ReplacedResult(result_identity(first.job_id).sop_instance_uid, 1, "1.0"),
    ]


def test_a_job_of_a_model_that_was_upgraded_makes_way_for_the_new_version(
    node: WorkerParts,
) -> None:
    node.receive()
    node.store.request_start(SERIES, node.now())
    node.series_completion.poll()
    node.installed = "1.1"
    node.job_scheduler.poll()
    until(lambda: node.jobs()[0].state is JobState.SUPERSEDED, 20, "the old job to make way")
    node.series_completion.poll()
    node.job_scheduler.poll()

    job = node.settled()
    assert (job.model_version, job.state) == ("1.1", JobState.DELIVERED)


def test_a_result_of_a_new_version_names_the_one_it_replaces_even_by_a_rerun(
    node: WorkerParts,
) -> None:
    node.receive()
    node.poll()
    first = node.settled()
    replaced = first.as_replaced()
    node.installed = "1.1"
    node.poll()
    second = node.settled()
    node.installed = "1.2"
    # Its deliveries begin anew, and then it makes way.
    node.store.rerun_job(second.job_id, node.now())
    node.job_scheduler.poll()
    until(lambda: node.jobs()[1].state is JobState.SUPERSEDED, 20, "the old job to make way")
    node.series_completion.poll()
    node.job_scheduler.poll()
    third = node.settled()

    assert [job.model_version for job in (first, second, third)] == ["1.0", "1.1", "1.2"]
    assert node.replaces == [None, replaced, second.as_replaced()]
    assert replaced.model_version == "1.0"


def test_a_job_whose_run_ended_without_an_end_goes_on(
    node: WorkerParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in versions that put nothing off.
    monkeypatch.setattr(SegmentStep, "put_off", lambda *_: None)
    node.during += [failing(Transient("the disk is full"))]
    node.receive()
    node.poll()
    job = node.job_in(JobState.RUNNING)

    def has_ended() -> bool:
        return node.workflows.run_state(job.job_id, 1) is RunState.ENDED

    until(has_ended, 20, "its run to end")
    node.job_scheduler.repair()

    assert node.settled().state is JobState.DELIVERED
    assert len(node.pacs.taken) == 1


def test_a_job_unknown_to_the_engine_is_taken_up_again(tmp_path: Path) -> None:
    node = WorkerParts(tmp_path)
    node.start()
    node.pacs.answers += [Transient("down") for _ in range(10_000)]
    node.receive()
    node.poll()
    until(lambda: node.jobs()[0].state is JobState.DELIVERING, 20, "the delivery to begin")
    node.stop()
    (tmp_path / "dbos.sqlite").unlink()
    node.pacs.answers.clear()
    node.start()
    node.job_scheduler.repair()
    job = node.settled()
    states = {d.destination: d.state for d in node.store.deliveries_of(job.job_id)}
    node.stop()

    assert job.state is JobState.DELIVERED
    assert states == {"archive": DeliveryState.DELIVERED, "pacs": DeliveryState.DELIVERED}
    assert len(node.pacs.taken) == 1


def test_a_job_whose_run_broke_is_parked_for_a_person(node: WorkerParts) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        inside.set()
        go_on.wait(20)

    node.during.append(hold)
    node.receive()
    node.poll()
    assert inside.wait(20)
    job = node.jobs()[0]
    DBOS.cancel_workflow(f"run:{job.job_id}:1")
    node.job_scheduler.repair()
    go_on.set()

    assert node.settled().state is JobState.PARKED
    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.settled().state is JobState.DELIVERED
