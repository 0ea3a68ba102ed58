"""The engine keeps its promises on both databases."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.errors import Transient
from node.domain.job import Job, JobState, Priority
from node.domain.series import series_digest
from tests.contract.postgresql_server import PostgresqlServer
from tests.stored import SERIES, job_of
from tests.waiting import until
from tests.worker_parts import WorkerParts


@pytest.fixture(params=["sqlite", "postgresql"])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> WorkerParts:
    """A worker that is not started yet, on each database in turn."""
    if request.param == "sqlite":
        return WorkerParts(tmp_path)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return WorkerParts(tmp_path, database_url=server.new_database())


def test_a_delivery_that_waits_goes_on_after_a_restart(worker: WorkerParts) -> None:
    worker.start()
    worker.pacs.answers += [Transient("down") for _ in range(3)]
    worker.receive()
    worker.look()
    worker.job_in(JobState.DELIVERING)
    worker.stop()
    worker.start()
    job = worker.settled()
    worker.stop()

    assert job.state is JobState.DELIVERED
    assert len(worker.pacs.taken) == 1
    assert len(worker.replaces) == 1, "the model ran once"


def test_an_urgent_job_overtakes_those_that_wait(worker: WorkerParts) -> None:
    order: list[str] = []
    all_queued = threading.Event()

    def note(job: Job) -> None:
        order.append(job.job_id)
        assert all_queued.wait(20)

    digest = series_digest([f"{SERIES}.1"])
    worker.start()
    try:
        worker.during += [note] * 4
        worker.receive()
        for name in ("a", "b", "c", "urgent"):
            priority = Priority.STAT if name == "urgent" else Priority.ROUTINE
            job = replace(job_of(SERIES, job_id=name), series_digest=digest, priority=priority)
            assert worker.store.add_job(job)
            worker.job_watch.look()
            until(lambda: order, 20, "the first job to run")
        all_queued.set()
        until(lambda: len(order) == 4, 20, "all jobs to run")
    finally:
        worker.stop()

    assert order == ["a", "urgent", "b", "c"]
