"""SIGKILL in the middle of retrievals, by C-GET and by C-MOVE: each series arrives complete.

Both methods retrieve at the same time, so that one kill hits both. DICOM uses TLS in both
directions; there is no web process.
"""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.processes.role_process import Role
from node.store import Retrieval
from tests.support.peers.archive import Archive
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.waiting import until

METHODS = ("get", "move")
KILLED = ("worker", "node")
_SENT_BEFORE_KILL = 5
_PEER = """
[peers.{name}]
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
retrieve = "{method}"
tls = {tls}
"""


@pytest.fixture
def node(tmp_path: Path, tls: TlsSite | None) -> Iterator[RunningNode]:
    """A node that is not started yet; its PACS for results does not run."""
    dicom_port, http_port = free_ports(2)
    pacs = OrthancPacs(tmp_path / "orthanc", dicom_port=dicom_port, http_port=http_port)
    running = RunningNode(tmp_path / "node", pacs, tls=tls)
    yield running
    running.close()


@dataclass
class Source:
    """An archive with one series that stops in the middle of its first retrieval."""

    name: str
    method: str
    files: list[Path]
    node: RunningNode
    in_the_middle: threading.Event = field(default_factory=threading.Event)
    continues: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.archive = Archive(
            [dcmread(file) for file in self.files],
            before=self._before,
            destination=(self.node.scp.host, self.node.scp.port),
            tls=self.node.tls,
        )
        port = self.archive.start().port
        with self.node.config_file.open("a") as config:
            by_tls = "false" if self.node.tls is None else "true"
            config.write(_PEER.format(name=self.name, port=port, method=self.method, tls=by_tls))
        self.series = Uid(self.archive.datasets[0].SeriesInstanceUID)

    def _before(self, sent: int) -> None:
        if sent == _SENT_BEFORE_KILL:
            self.in_the_middle.set()
            self.continues.wait(120)

    def request(self) -> None:
        """Requests the retrieval of the series."""
        study = Uid(self.archive.datasets[0].StudyInstanceUID)
        now = datetime.now(UTC)
        self.number = self.node.store.request_retrieval(self.name, study, self.series, now)

    def retrieval(self) -> Retrieval:
        """The retrieval in its current state."""
        found = self.node.store.get_retrieval(self.number)
        assert found is not None
        return found

    def is_finished(self) -> bool:
        """Whether the retrieval is finished."""
        return self.retrieval().finished_at is not None


@pytest.fixture
def sources(node: RunningNode, tmp_path: Path) -> Iterator[dict[str, list[Source]]]:
    """For each process that is killed, an archive for each method; each has another series."""
    made: dict[str, list[Source]] = {}
    for first_seed, killed in zip((31, 41), KILLED, strict=True):
        made[killed] = []
        for seed, method in enumerate(METHODS, start=first_seed):
            files = small_abdomen(tmp_path / f"{seed}", seed=seed)
            made[killed].append(Source(f"{method}_{killed}", method, files, node))
    yield made
    for archives in made.values():
        for source in archives:
            source.archive.stop()


def test_retrievals_by_both_methods_that_are_killed_in_the_middle_are_completed_after_the_restart(
    node: RunningNode, sources: dict[str, list[Source]]
) -> None:
    node.start()
    for killed in KILLED:
        for source in sources[killed]:
            source.request()
        for source in sources[killed]:
            assert source.in_the_middle.wait(60), source.name

        if killed == "worker":
            os.kill(node.process_of(Role.WORKER), signal.SIGKILL)
        else:
            node.kill()
            node.start()
        for source in sources[killed]:
            check_completed(node, source)


def check_completed(node: RunningNode, source: Source) -> None:
    """Lets the archive continue; its series arrives complete, once, and gives one job."""
    source.continues.set()
    # One after the other: pynetdicom, as an archive that sends to the node, can lose a response
    # where many of its threads are busy.
    until(source.is_finished, 120, f"the retrieval {source.name}")
    assert source.retrieval().error == "", source.name
    assert source.archive.requests == 2, source.name
    stored = node.store.get_series(source.series)
    assert stored is not None
    assert stored.instance_count == len(source.files), source.name
    job = node.job_in(source.series, JobState.DELIVERING, instances=len(source.files))
    jobs = node.store.jobs_of(source.series)
    assert [one.job_id for one in jobs if one.state is job.state] == [job.job_id]
