"""SIGKILL in the middle of a retrieval, by C-GET and by C-MOVE: the series arrives complete."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs, free_ports
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.processes.supervisor import Role
from tests.support.peers.archive import Archive
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.waiting import until

# pynetdicom leaves a socket without a peer to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
_SENT_BEFORE_KILL = 5
_PEER = """
[peers.archive]
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
retrieve = "{method}"
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    """A node that is not started yet; its PACS for results does not run."""
    dicom_port, http_port = free_ports(2)
    pacs = OrthancPacs(tmp_path / "orthanc", dicom_port=dicom_port, http_port=http_port)
    running = RunningNode(tmp_path / "node", pacs)
    yield running
    running.close()


@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize("killed", ["worker", "node"])
def test_a_retrieval_that_is_killed_in_the_middle_is_completed_after_the_restart(
    node: RunningNode, tmp_path: Path, method: str, killed: str
) -> None:
    files = small_abdomen(tmp_path / "ct", seed=31)
    in_the_middle, go_on = threading.Event(), threading.Event()

    def before(sent: int) -> None:
        if sent == _SENT_BEFORE_KILL:
            in_the_middle.set()
            go_on.wait(120)

    archive = Archive(
        [dcmread(file) for file in files],
        before=before,
        destination=("127.0.0.1", node.dicom_port),
    )
    port = archive.start().port
    with node.config_file.open("a") as config:
        config.write(_PEER.format(port=port, method=method))
    node.start()
    study = Uid(archive.datasets[0].StudyInstanceUID)
    series = Uid(archive.datasets[0].SeriesInstanceUID)
    number = node.store.request_retrieval("archive", study, series, datetime.now(UTC))
    assert in_the_middle.wait(60)

    if killed == "worker":
        os.kill(node.process_of(Role.WORKER), signal.SIGKILL)
    else:
        node.kill()
        node.start()
    go_on.set()

    def finished() -> bool:
        found = node.store.get_retrieval(number)
        return found is not None and found.finished_at is not None

    until(finished, 120, "the retrieval to finish")
    retrieval = node.store.get_retrieval(number)
    assert retrieval is not None
    assert retrieval.error == ""
    assert archive.requests == 2
    stored = node.store.get_series(series)
    assert stored is not None
    assert stored.instance_count == len(files)
    job = node.job_in(series, JobState.DELIVERING, instances=len(files))
    assert [one.job_id for one in node.store.jobs_of(series) if one.state is job.state] == [
        job.job_id
    ]
    archive.stop()
