"""The scheduler starts each job once, and repairs jobs whose workflow is lost or failed."""

import threading
from pathlib import Path

import pytest
from dbos import DBOS

from node.domain.delivery import DeliveryState
from node.domain.errors import Transient
from node.domain.job import Job, JobState
from node.jobs.segment_step import SegmentStep
from node.jobs.workflow import RunState
from tests.support.processes.worker_parts import WorkerParts, raising
from tests.support.waiting import until


def test_a_job_that_is_started_again_runs_once(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()
    node.workflows.start_job(job, 1)
    node.job_scheduler.poll()
    node.job_scheduler.repair()

    assert len(node.replaces) == 1
    assert len(node.pacs.received) == 1


def test_a_job_whose_run_ended_too_early_is_continued(
    node: WorkerParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in versions that cannot postpone a job.
    monkeypatch.setattr(SegmentStep, "postpone", lambda *_: None)
    node.on_inference += [raising(Transient("the disk is full"))]
    node.receive()
    node.poll()
    job = node.job_in(JobState.RUNNING)

    def has_ended() -> bool:
        return node.workflows.run_state(job.job_id, 1) is RunState.ENDED

    until(has_ended, 20, "its run to end")
    node.job_scheduler.repair()

    assert node.ended_job().state is JobState.DELIVERED
    assert len(node.pacs.received) == 1


def test_a_job_unknown_to_the_engine_is_restarted(tmp_path: Path) -> None:
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
    job = node.ended_job()
    states = {d.destination: d.state for d in node.store.deliveries_of(job.job_id)}
    node.stop()

    assert job.state is JobState.DELIVERED
    assert states == {"archive": DeliveryState.DELIVERED, "pacs": DeliveryState.DELIVERED}
    assert len(node.pacs.received) == 1


def test_a_job_whose_run_failed_is_parked(node: WorkerParts) -> None:
    inside, resume = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        inside.set()
        resume.wait(20)

    node.on_inference.append(hold)
    node.receive()
    node.poll()
    assert inside.wait(20)
    job = node.jobs()[0]
    DBOS.cancel_workflow(f"run:{job.job_id}:1")
    node.job_scheduler.repair()
    resume.set()

    assert node.ended_job().state is JobState.PARKED
    node.store.retry_job(job.job_id, node.now())
    node.job_scheduler.poll()
    assert node.ended_job().state is JobState.DELIVERED
