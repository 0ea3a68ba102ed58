"""SIGKILL of the supervisor while the PACS is down: no process outlives it, no result is lost.

DICOM uses TLS; there is no web process. The crash matrix kills each process at each step.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.delivery import DeliveryState
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.processes.role_process import Role
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.waiting import until


@pytest.fixture
def node(tmp_path: Path, pacs: OrthancPacs, tls: TlsSite | None) -> Iterator[RunningNode]:
    """A running node."""
    running = RunningNode(tmp_path / "node", pacs, tls=tls)
    running.start()
    yield running
    running.close()


def test_a_node_killed_while_the_pacs_is_down_ends_and_delivers_when_both_are_back(
    node: RunningNode, pacs: OrthancPacs, tmp_path: Path
) -> None:
    files = small_abdomen(tmp_path / "ct", seed=21)
    header = dcmread(files[0], stop_before_pixels=True)
    series, study = Uid(header.SeriesInstanceUID), Uid(header.StudyInstanceUID)
    node.send(files)
    job = node.job_in(series, JobState.DELIVERING)
    until(lambda: node.store.deliveries_of(job.job_id)[0].attempts >= 2, 60, "two failed attempts")
    (waiting,) = node.store.deliveries_of(job.job_id)
    assert waiting.state is DeliveryState.WAITING
    assert "does not answer" in waiting.last_error
    processes = [node.process_of(role) for role in (Role.WORKER, Role.LISTENER)]
    node.kill()
    until(lambda: not any(is_alive(p) for p in processes), 10, "the processes to end")

    node.start()
    pacs.start()
    job = node.ended_job(series)

    assert job.state is JobState.DELIVERED, job.reason
    assert node.results(study) == [ObjectUids(job.job_id, SEG).sop_instance_uid()]


def is_alive(process: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    return False
