"""A running worker for the tests of jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes.worker_parts import WorkerParts


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WorkerParts]:
    """A running worker."""
    made = WorkerParts(tmp_path)
    made.start()
    yield made
    made.stop()
