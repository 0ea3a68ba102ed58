"""Durable execution behaves the same on SQLite and PostgreSQL."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.errors import Transient
from node.domain.job import Job, JobState, Priority
from node.domain.series import series_digest
from node.jobs.workflow import RunState
from tests.support.factories import SERIES, job_of
from tests.support.processes.worker_parts import WorkerParts, raising
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.waiting import until


@pytest.fixture(params=["sqlite", "postgresql"])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> WorkerParts:
    """A worker that is not started yet, on each database."""
    if request.param == "sqlite":
        return WorkerParts(tmp_path)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return WorkerParts(tmp_path, database_url=server.new_migrated_database())


def test_a_waiting_delivery_resumes_after_a_restart(worker: WorkerParts) -> None:
    worker.start()
    worker.pacs.answers += [Transient("down") for _ in range(3)]
    worker.receive()
    worker.poll()
    worker.job_in(JobState.DELIVERING)
    worker.stop()
    worker.start()
    job = worker.ended_job()
    worker.stop()

    assert job.state is JobState.DELIVERED
    assert len(worker.pacs.received) == 1
    assert len(worker.replaces) == 1, "the model ran once"


def test_an_urgent_job_runs_before_queued_routine_jobs(worker: WorkerParts) -> None:
    order: list[str] = []
    all_queued = threading.Event()

    def note(job: Job) -> None:
        order.append(job.job_id)
        assert all_queued.wait(20)

    digest = series_digest([f"{SERIES}.1"])
    worker.start()
    try:
        worker.on_inference += [note] * 4
        worker.receive()
        for name in ("a", "b", "c", "urgent"):
            priority = Priority.STAT if name == "urgent" else Priority.ROUTINE
            job = replace(job_of(SERIES, job_id=name), series_digest=digest, priority=priority)
            assert worker.store.add_job(job)
            worker.job_scheduler.poll()
            until(lambda: order, 20, "the first job to run")
        all_queued.set()
        until(lambda: len(order) == 4, 20, "all jobs to run")
    finally:
        worker.stop()

    assert order == ["a", "urgent", "b", "c"]


def test_a_postponed_job_delays_no_other_and_resumes_after_a_restart(
    worker: WorkerParts,
) -> None:
    worker.first_wait_s = 3600.0
    worker.on_inference.append(raising(Transient("the result cannot be kept: no space")))
    worker.start()
    worker.receive()
    worker.poll()
    job = until(
        lambda: next((j for j in worker.jobs() if j.reason), None), 20, "it to be postponed"
    )
    assert job is not None
    assert job.state is JobState.RUNNING
    assert "no space; the next attempt is at" in job.reason
    other = replace(job_of(SERIES, job_id="other"), series_digest=job.series_digest)
    assert worker.store.add_job(other)
    worker.job_scheduler.poll()
    until(lambda: state(worker, "other") is JobState.DELIVERED, 20, "the other job to be done")

    # With a shorter maximum delay, as after the clock was set back, it is due immediately.
    worker.stop()
    worker.first_wait_s = 0.05
    worker.start()
    assert worker.workflows.run_state(job.job_id, 1) is RunState.ACTIVE
    worker.job_scheduler.repair()
    until(lambda: state(worker, job.job_id) is JobState.DELIVERED, 20, "the job to be done")
    worker.stop()
    assert len(worker.replaces) == 3


def state(worker: WorkerParts, job_id: str) -> JobState | None:
    """The state of the job."""
    job = worker.store.get_job(job_id)
    return None if job is None else job.state
