"""The engine keeps its promises on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.errors import Transient
from node.domain.job import JobState
from tests.contract.postgresql_server import PostgresqlServer
from tests.worker_parts import WorkerParts


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresqlServer]:
    """A server for this module."""
    with PostgresqlServer() as server:
        yield server


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
