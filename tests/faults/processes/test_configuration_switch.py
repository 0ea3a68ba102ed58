"""A running node switches to another configuration: nothing that goes on is lost, whatever dies."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from node.configuration.site_configuration import SiteConfiguration, host_settings
from node.demo.free_ports import free_ports
from node.dimse import scu
from node.domain.identifiers import AeTitle, Uid
from node.domain.job import JobState
from node.processes.role_process import MODULES, Role
from node.store import Store
from node.store.configuration.revisions import Revision, RevisionDraft
from node.store.files.factory import open_files
from tests.support.peers.dcmsend import dcmsend
from tests.support.processes.hosts import Host
from tests.support.processes.running_node import small_abdomen
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.waiting import until

# Machines that run the tests are slow; a switch takes seconds.
SWITCH_S, START_S, JOB_S = 90.0, 180.0, 240.0
INFERENCE = "node.inference.child"

HOST = """
config = "database"
data_dir = "data"
database_url = "{database_url}"
"""
CONTENT = """
quiet_seconds = 1
{more}

[worker]
poll_seconds = 0.2
threads = {threads}

[listener]
host = "127.0.0.1"
port = {dicom_port}

[web]
port = {web_port}

[peers.sender]
ae_title = "{sender}"
host = "127.0.0.1"
port = 104

[destinations.archive]
kind = "folder"
path = "{archive}"

[[rules]]
name = "liver"
model = "{model}"
destinations = ["archive"]
when = {{ attribute = "Modality", equals = "CT" }}
"""


@dataclass(frozen=True)
class Content:
    """What a revision says."""

    dicom_port: int
    web_port: int
    sender: str = "DEMOSENDER"
    archive: str = "first"
    model: str = "liver-ct"
    threads: int = 1
    more: str = ""

    @property
    def text(self) -> str:
        return CONTENT.format(**vars(self))


@dataclass
class Site:
    """Hosts over one database; each has its own configuration file."""

    folder: Path
    roles: tuple[Role, ...]
    database_url: str = ""
    names: tuple[str, ...] = ("host",)

    def __post_init__(self) -> None:
        dicom_port, web_port = free_ports(2)
        self.content = Content(dicom_port, web_port)
        self.hosts = [Host(name, self._file(name), self.roles) for name in self.names]
        settings = host_settings(self.hosts[0].config)
        files = open_files(settings)
        self.store = Store.open(settings.database_url, settings.data_dir, files)
        self.configuration = SiteConfiguration(self.store, self.hosts[0].config)

    def _file(self, name: str) -> Path:
        host = HOST.format(database_url=self.database_url)
        file = self.folder / f"{name}.toml"
        file.write_text(host + self.content.text)
        return file

    def activate(self, content: Content) -> Revision:
        self.content = content
        base = self.store.active_revision_number()
        return self.configuration.propose(
            RevisionDraft(content.text, "Ada", "a test"), base, datetime.now(UTC)
        )

    def numbers(self) -> dict[str, int]:
        """The revision that each process reported last."""
        processes = self.configuration.processes(datetime.now(UTC))
        return {process.name: process.number for process in processes if not process.problem}

    def wait_for(self, number: int, count: int, within_s: float = SWITCH_S) -> None:
        """Waits until `count` processes run that revision, and none another one."""
        expected = [number] * count
        until(lambda: list(self.numbers().values()) == expected, within_s, f"revision {number}")

    def processes(self, module: str) -> list[int]:
        """The process ids of a program of the first host."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if module in words and os.getsid(int(entry.name)) == self.hosts[0].session:
                    found.append(int(entry.name))
        return found

    def process_of(self, role: Role) -> int:
        (found,) = self.processes(MODULES[role])
        return found

    def state_of(self, series: Uid) -> JobState | None:
        """The state of the only job of a series; None before it exists."""
        jobs = self.store.jobs_of(series)
        return jobs[0].state if jobs else None

    def close(self) -> None:
        for host in self.hosts:
            host.kill()
        self.store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One host with all processes; each test leaves it running."""
    made = Site(tmp_path_factory.mktemp("site"), tuple(Role))
    try:
        made.hosts[0].start()
        made.hosts[0].wait_ready()
        yield made
    finally:
        made.close()


def test_an_open_association_and_a_running_job_go_on_across_a_switch(
    site: Site, tmp_path: Path
) -> None:
    files = small_abdomen(tmp_path / "one", seed=71)
    later = small_abdomen(tmp_path / "two", seed=72)[0]
    pids = {role: site.process_of(role) for role in Role}
    assert len(dcmsend(files, site.content.dicom_port).acknowledged) == len(files)
    series = Uid(str(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID))
    until(lambda: site.state_of(series) is JobState.RUNNING, JOB_S, "the job to run")
    (inference,) = site.processes(INFERENCE)
    os.kill(inference, signal.SIGSTOP)  # so that the job does not end before the switch
    assert site.state_of(series) is JobState.RUNNING

    # Other peers, another place for results, and other inference processes.
    changed = replace(site.content, sender="OTHER", archive="second", threads=2)
    ae = scu.application_entity(AeTitle("DEMOSENDER"))
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    remote = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", changed.dicom_port)
    with scu.associated(ae, remote) as association:

        def is_switched() -> bool:
            """Sends again and again, as an idle association would time out."""
            assert association.send_c_store(later).get("Status") == 0x0000
            return any(
                name.endswith("/listener") and number == revision.number
                for name, number in site.numbers().items()
            )

        revision = site.activate(changed)
        until(is_switched, SWITCH_S, "the listener to switch", poll_s=0.5)
        assert association.send_c_store(later).get("Status") == 0x0000
    assert dcmsend([later], changed.dicom_port).statuses == {}  # no longer a peer
    site.wait_for(revision.number, len(Role))
    assert len(site.processes(INFERENCE)) == 2
    os.kill(inference, signal.SIGCONT)
    until(lambda: site.state_of(series) is JobState.DELIVERED, JOB_S, "the job to end")
    (job,) = site.store.jobs_of(series)
    assert site.store.run_number(job.job_id) == 1
    assert {role: site.process_of(role) for role in Role} == pids
    until(lambda: inference not in site.processes(INFERENCE), SWITCH_S, "the old process to end")
    assert list((site.folder / "second").rglob("*.dcm"))
    site.wait_for(site.activate(replace(changed, sender="DEMOSENDER")).number, len(Role))
    assert len(dcmsend([later], changed.dicom_port).acknowledged) == 1


def test_another_port_restarts_the_listener_alone(site: Site) -> None:
    old_port, pids = site.content.dicom_port, {r: site.process_of(r) for r in Role}
    (new_port,) = free_ports(1)
    site.activate(replace(site.content, dicom_port=new_port))
    until(lambda: _listens(new_port), SWITCH_S, "the listener to answer there")
    assert not _listens(old_port)
    changed = [role for role in Role if site.process_of(role) != pids[role]]
    assert changed == [Role.LISTENER]


def test_processes_killed_while_a_revision_becomes_active_all_run_it_afterwards(
    site: Site,
) -> None:
    killed = {role: site.process_of(role) for role in Role}
    revision = site.activate(replace(site.content, archive="third"))
    for process in killed.values():
        os.kill(process, signal.SIGKILL)
    until(lambda: _restarted(site, killed), START_S, "the processes to restart")
    site.wait_for(revision.number, len(Role), START_S)


def test_hosts_run_one_revision_and_one_that_cannot_use_it_keeps_the_last(
    tmp_path: Path,
) -> None:
    with PostgresqlServer() as server:
        site = Site(tmp_path, (Role.LISTENER,), server.new_database(), ("one", "two"))
        one, two = site.hosts
        try:
            one.start({"SEGNODE_LISTENER__PORT": "0"})
            # With this limit, the host cannot use a revision that reserves more.
            two.start({"SEGNODE_LISTENER__PORT": "0", "SEGNODE_MONITORING__LOW_DISK_GIB": "2"})
            for host in site.hosts:
                host.wait_ready()
            good = site.activate(replace(site.content, archive="second"))
            _wait_until_used(good, one, two)
            bad = site.activate(replace(site.content, more="least_free_gib = 3"))
            _wait_until_used(bad, one)
            until(lambda: "configuration.not_used" in two.log(), SWITCH_S, "the other to refuse")
            for host in site.hosts:  # while the next revision becomes active
                host.kill()
            assert "LOW_DISK_GIB" in two.log()
            again = site.configuration.roll_back(
                good.number, "Ada", "back", bad.number, datetime.now(UTC)
            )
            for host in site.hosts:
                host.start({"SEGNODE_LISTENER__PORT": "0"})
            _wait_until_used(again, one, two)
        finally:
            site.close()


def _wait_until_used(revision: Revision, *hosts: Host) -> None:
    """Waits until the hosts log that they use the revision."""
    event = f'"configuration.used", "name": "revision {revision.number}"'
    until(lambda: all(event in host.log() for host in hosts), START_S, event)


def _restarted(site: Site, killed: dict[Role, int]) -> bool:
    running = {role: site.processes(MODULES[role]) for role in Role}
    return all(len(found) == 1 and found[0] != killed[r] for r, found in running.items())


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
