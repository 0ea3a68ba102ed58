"""SIGKILL of the worker while it acts on a retry by a person: the result is sent exactly once."""

import signal
import sys
from pathlib import Path

import pytest

from node.domain.delivery import DeliveryState
from node.domain.job import JobState
from tests.support.prepared.starting import start_program
from tests.support.processes.killed_request import RequestKillPoint
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

START_S = 120


@pytest.mark.parametrize("point", RequestKillPoint)
def test_a_retried_delivery_is_made_once_wherever_the_worker_is_killed(
    tmp_path: Path, point: RequestKillPoint
) -> None:
    command = [sys.executable, "-m", "tests.support.processes.killed_request", str(tmp_path), point]
    assert start_program(command).wait(START_S) == -signal.SIGKILL
    node = WorkerParts(tmp_path)
    node.start()
    try:

        def has_ended() -> bool:
            node.job_scheduler.poll()
            return node.jobs()[-1].state is JobState.DELIVERED

        until(has_ended, 60, "the job to be delivered")
        node.job_scheduler.repair()
        until(lambda: not node.workflows.delivery_workflows(), 30, "the workflows to end")
        states = {d.key: d.state for d in node.store.deliveries_of(node.jobs()[-1].job_id)}
        requests = node.store.delivery_requests(10)
    finally:
        node.stop()
    assert states == dict.fromkeys(("archive", "pacs"), DeliveryState.DELIVERED)
    assert len(node.pacs.received) <= 1, "the process before may have sent it"
    assert requests == []
