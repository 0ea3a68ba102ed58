"""The workflow of a job on the real DBOS and store, with a fake model and fake destinations."""

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.job import Job, JobState, ReplacedResult
from node.domain.result_objects import SEG, ObjectUids
from node.store import IllegalChange
from tests.support.factories import SERIES
from tests.support.processes.worker_parts import WorkerParts, raising
from tests.support.waiting import until


def test_a_job_delivers_its_result_to_every_destination(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()

    assert job.state is JobState.DELIVERED
    assert {"waited", "segment", "deliver"} <= job.timings_s.keys()
    assert job.measurements == {"Liver": {"volume_ml": 1500.0}}
    assert job.result_path is not None
    assert job.picture_path is not None
    assert job.picture_path.read_bytes() == b"a picture"
    assert dcmread(job.result_path).SOPInstanceUID == ObjectUids(job.job_id, SEG).sop_instance_uid()
    assert [result.path for result in node.pacs.received] == [job.result_path]
    assert len(list((node.folder / "archive").rglob("*.dcm"))) == 1


def test_a_series_unsuitable_for_the_model_is_refused_with_the_reason(node: WorkerParts) -> None:
    node.on_inference.append(raising(Rejected(RejectionReason.TOO_FEW_SLICES, "It has 3 slices.")))
    node.receive()
    node.poll()
    job = node.ended_job()

    assert (job.state, job.reason) == (JobState.REFUSED, "It has 3 slices.")
    assert node.pacs.received == []


def test_a_job_is_parked_after_two_defects_and_can_be_retried(node: WorkerParts) -> None:
    node.on_inference += [raising(ZeroDivisionError("of the test")) for _ in range(2)]
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.PARKED
    assert "ZeroDivisionError: of the test" in job.reason
    traces = [e.detail for e in node.store.history_of(job.job_id) if e.event == "defect"]
    assert len(traces) == 2
    assert "Traceback" in traces[0]

    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.ended_job().state is JobState.DELIVERED


def test_transient_errors_are_retried_however_often_they_occur(node: WorkerParts) -> None:
    node.on_inference += [raising(Transient("the disk is full")) for _ in range(6)]
    node.receive()
    node.poll()
    job = node.ended_job()

    assert job.state is JobState.DELIVERED
    assert job.reason == ""
    assert len(node.store.failed_attempts(job.job_id)) == 6
    assert len(node.pacs.received) == 1


def test_a_job_with_only_transient_errors_is_given_up_at_its_age_and_can_be_retried(
    tmp_path: Path,
) -> None:
    node = WorkerParts(tmp_path, give_up_after=timedelta(seconds=0.3))
    node.start()
    node.on_inference += [raising(Transient("the disk is full")) for _ in range(1000)]
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.PARKED
    assert re.fullmatch(r"given up after \d+ s: the disk is full", job.reason)
    assert node.store.deliveries_of(job.job_id) == (), "their age counts from the result"

    node.on_inference[1:] = []
    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    job = node.ended_job()
    node.stop()
    assert job.state is JobState.DELIVERED, job.reason
    assert len(node.store.failed_attempts(job.job_id)) == 1, (
        "only those since the retry by a person"
    )


def test_a_destination_that_is_down_at_first_gets_the_result_once(node: WorkerParts) -> None:
    node.pacs.answers += [Transient("it does not answer") for _ in range(3)]
    node.receive()
    node.poll()
    job = node.ended_job()

    assert job.state is JobState.DELIVERED
    assert len(node.pacs.received) == 1
    attempts = {d.destination: d.attempts for d in node.store.deliveries_of(job.job_id)}
    assert attempts == {"archive": 1, "pacs": 4}


def test_a_refusal_by_a_destination_parks_the_job_with_its_message(node: WorkerParts) -> None:
    node.pacs.answers.append(Rejected(RejectionReason.INVALID_INSTANCE, "SEG is not stored here"))
    node.receive()
    node.poll()
    job = node.ended_job()

    assert job.state is JobState.PARKED
    assert job.reason == "the segmentation was not delivered to pacs: SEG is not stored here"
    assert len(list((node.folder / "archive").rglob("*.dcm"))) == 1

    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.ended_job().state is JobState.DELIVERED
    assert len(node.replaces) == 1, "the model ran once; its result was stored"


def test_a_rerun_delivers_the_same_instance_again(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    first = node.ended_job()
    node.store.rerun_job(first.job_id, node.now())
    assert first.result_path is not None
    assert not first.result_path.exists()
    node.job_scheduler.poll()
    second = node.ended_job()

    assert (second.job_id, second.state) == (first.job_id, JobState.DELIVERED)
    assert len(node.replaces) == 2, "the model ran twice"
    one, other = node.pacs.received
    assert one == other


def test_a_refused_job_can_be_rerun(node: WorkerParts) -> None:
    node.on_inference.append(raising(Rejected(RejectionReason.TOO_FEW_SLICES, "It has 3 slices.")))
    node.receive()
    node.poll()
    refused = node.ended_job()
    assert refused.state is JobState.REFUSED
    node.store.rerun_job(refused.job_id, node.now())
    node.job_scheduler.poll()

    assert node.ended_job().state is JobState.DELIVERED


def test_an_unfinished_job_and_a_job_without_images_cannot_be_rerun(node: WorkerParts) -> None:
    node.receive()
    node.store.request_start(SERIES, node.now())
    node.series_completion.poll()
    (job,) = node.jobs()
    with pytest.raises(IllegalChange, match="is queued"):
        node.store.rerun_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.ended_job().state is JobState.DELIVERED
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
    node = WorkerParts(tmp_path, **ages)  # type: ignore[arg-type] # only fields of type timedelta
    node.start()
    node.pacs.answers += [Transient("it does not answer") for _ in range(1000)]
    node.receive()
    node.poll()
    job = node.ended_job()
    node.stop()

    assert job.state is JobState.PARKED
    assert "given up after" in job.reason
    assert "it does not answer" in job.reason


def test_a_job_superseded_while_the_model_runs_is_not_delivered(node: WorkerParts) -> None:
    inside, resume = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        inside.set()
        resume.wait(20)

    node.on_inference.append(hold)
    node.receive(1)
    node.poll()
    assert inside.wait(20)
    node.receive(2)
    node.poll()
    resume.set()
    node.ended_job()

    first, second = node.jobs()
    assert (first.state, second.state) == (JobState.SUPERSEDED, JobState.DELIVERED)
    assert [r.sop_instance_uid for r in node.pacs.received] == [
        ObjectUids(second.job_id, SEG).sop_instance_uid()
    ]


def test_a_late_slice_produces_a_result_that_names_the_replaced_one(node: WorkerParts) -> None:
    node.receive(1)
    node.poll()
    first = node.ended_job()
    node.receive(2)
    node.poll()
    node.ended_job()

    assert node.replaces == [
        None,
        ReplacedResult(ObjectUids(first.job_id, SEG).sop_instance_uid(), 1, "1.0"),
    ]


def test_a_job_of_an_upgraded_model_is_superseded_by_one_for_the_new_version(
    node: WorkerParts,
) -> None:
    node.receive()
    node.store.request_start(SERIES, node.now())
    node.series_completion.poll()
    node.installed = "1.1"
    node.job_scheduler.poll()
    until(lambda: node.jobs()[0].state is JobState.SUPERSEDED, 20, "the old job to be superseded")
    node.series_completion.poll()
    node.job_scheduler.poll()

    job = node.ended_job()
    assert (job.model_version, job.state) == ("1.1", JobState.DELIVERED)


def test_a_result_of_a_new_version_names_the_replaced_one_even_after_a_rerun(
    node: WorkerParts,
) -> None:
    node.receive()
    node.poll()
    first = node.ended_job()
    replaced = first.as_replaced()
    node.installed = "1.1"
    node.poll()
    second = node.ended_job()
    node.installed = "1.2"
    # Its deliveries restart, and then it is superseded.
    node.store.rerun_job(second.job_id, node.now())
    node.job_scheduler.poll()
    until(lambda: node.jobs()[1].state is JobState.SUPERSEDED, 20, "the old job to be superseded")
    node.series_completion.poll()
    node.job_scheduler.poll()
    third = node.ended_job()

    assert [job.model_version for job in (first, second, third)] == ["1.0", "1.1", "1.2"]
    assert node.replaces == [None, replaced, second.as_replaced()]
    assert replaced.model_version == "1.0"
