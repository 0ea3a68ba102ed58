"""SIGKILL of the worker while it postpones a job: the job resumes, exactly once."""

import signal
import sys
from pathlib import Path

import pytest
from dbos import DBOS

from node.domain.job import JobState
from tests.support.prepared.starting import start_program
from tests.support.processes.dying_worker import KillPoint
from tests.support.processes.worker_parts import WorkerParts

START_S = 60


@pytest.mark.parametrize("point", KillPoint)
def test_a_postponed_job_resumes_once_wherever_its_worker_is_killed(
    tmp_path: Path, point: KillPoint
) -> None:
    command = [sys.executable, "-m", "tests.support.processes.dying_worker", str(tmp_path), point]
    assert start_program(command).wait(START_S) == -signal.SIGKILL
    node = WorkerParts(tmp_path)
    node.start()
    try:
        job = node.ended_job()
        node.job_scheduler.repair()
        runs = DBOS.list_workflows(name="run_job", load_input=False, load_output=False)
    finally:
        node.stop()

    assert job.state is JobState.DELIVERED
    assert len(node.pacs.received) == 1
    assert len(node.replaces) == 1, "the model ran once in this process"
    # If the worker died before the segment step was recorded, the same part repeats the attempt.
    parts = (
        1
        if point
        in {
            KillPoint.BEFORE_FAILURE_RECORDED,
            KillPoint.AFTER_FAILURE_RECORDED,
            KillPoint.AFTER_WAIT_IN_RUN,
        }
        else 2
    )
    assert [run.status for run in runs] == ["SUCCESS"] * parts
