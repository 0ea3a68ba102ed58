"""`kill -9` amid putting off a job that cannot be finished for now: it goes on, and once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dbos import DBOS

from node.domain.job import JobState
from tests.support.processes.dying_worker import Point
from tests.support.processes.worker_parts import WorkerParts

START_S = 60


@pytest.mark.parametrize("point", Point)
def test_a_job_that_is_put_off_goes_on_once_wherever_its_worker_is_killed(
    tmp_path: Path, point: Point
) -> None:
    command = [sys.executable, "-m", "tests.support.processes.dying_worker", str(tmp_path), point]
    ended = subprocess.run(command, check=False, timeout=START_S)
    assert ended.returncode == -signal.SIGKILL
    node = WorkerParts(tmp_path)
    node.start()
    try:
        job = node.settled()
        node.job_scheduler.repair()
        runs = DBOS.list_workflows(name="run_job", load_input=False, load_output=False)
    finally:
        node.stop()

    assert job.state is JobState.DELIVERED
    assert len(node.pacs.taken) == 1
    assert len(node.replaces) == 1, "the model ran once more"
    # Where the failure was not recorded, the part that met it made up for it.
    parts = 1 if point in {Point.NOT_NOTED, Point.NOTED, Point.WAITED_WITHIN} else 2
    assert [run.status for run in runs] == ["SUCCESS"] * parts
