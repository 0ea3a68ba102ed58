"""A running node switches to another configuration: nothing that goes on is lost, whatever dies.

DICOM and HTTP use TLS; a token from before a switch counts afterwards.
"""

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from node.demo.free_ports import free_ports
from node.dimse import scu
from node.domain.identifiers import AeTitle, Uid
from node.domain.job import JobState
from node.processes.role_process import MODULES, Role
from node.runtime.listening import listening_ports
from node.store.configuration.revisions import Revision
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.hosts import Host
from tests.support.processes.running_node import small_abdomen
from tests.support.processes.secured_site import listener_at
from tests.support.processes.switching_site import SWITCH_S, SwitchingSite
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.waiting import until

START_S, JOB_S = 180.0, 240.0
INFERENCE = "node.inference.child"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tls: TlsSite | None) -> Iterator[SwitchingSite]:
    """One host with all processes; each test leaves it running."""
    made = SwitchingSite(tmp_path_factory.mktemp("site"), tuple(Role), tls)
    try:
        made.hosts[0].start()
        made.hosts[0].wait_ready()
        yield made
    finally:
        made.close()


def test_an_open_association_and_a_running_job_go_on_across_a_switch(
    site: SwitchingSite, tmp_path: Path
) -> None:
    files = small_abdomen(tmp_path / "one", seed=71)
    later = small_abdomen(tmp_path / "two", seed=72)[0]
    pids = {role: site.process_of(role) for role in Role}
    assert len(site.send(files).acknowledged) == len(files)
    series = Uid(str(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID))
    until(lambda: site.state_of(series) is JobState.RUNNING, JOB_S, "the job to run")
    (inference,) = site.processes(INFERENCE)
    os.kill(inference, signal.SIGSTOP)  # so that the job does not end before the switch
    assert site.state_of(series) is JobState.RUNNING

    # Other peers, another place for results, and other inference processes.
    changed = replace(site.content, sender="OTHER", archive="second", threads=2)
    ae = scu.application_entity(AeTitle("DEMOSENDER"))
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    remote = listener_at(changed.dicom_port, changed.tls_port, site.tls)
    with site.program() as program, scu.associated(ae, remote) as association:
        assert len(program.get("/api/series").json()) == 1

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
        site.wait_for(revision.number, len(Role))
        assert len(program.get("/api/series").json()) == 2
    assert site.send([later]).statuses == {}  # no longer a peer
    assert len(site.processes(INFERENCE)) == 2
    os.kill(inference, signal.SIGCONT)
    until(lambda: site.state_of(series) is JobState.DELIVERED, JOB_S, "the job to end")
    (job,) = site.store.jobs_of(series)
    assert site.store.run_number(job.job_id) == 1
    assert {role: site.process_of(role) for role in Role} == pids
    until(lambda: inference not in site.processes(INFERENCE), SWITCH_S, "the old process to end")
    assert list((site.folder / "second").rglob("*.dcm"))
    site.wait_for(site.activate(replace(changed, sender="DEMOSENDER")).number, len(Role))
    assert len(site.send([later]).acknowledged) == 1


def test_another_port_restarts_the_listener_alone(site: SwitchingSite) -> None:
    old_port, pids = site.content.port, {r: site.process_of(r) for r in Role}
    new_port, new_tls_port = free_ports(2)
    changed = replace(site.content, dicom_port=new_port, tls_port=new_tls_port)
    site.activate(changed)
    until(lambda: _listens(changed.port), SWITCH_S, "the listener to answer there")
    assert not _listens(old_port)
    until(lambda: _stated_port(site) == new_port, SWITCH_S, "the listener to state its port")
    restarted = [role for role in Role if site.process_of(role) != pids[role]]
    assert restarted == [Role.LISTENER]


def _stated_port(site: SwitchingSite) -> int | None:
    ports = listening_ports(site.store.data_dir)
    return None if ports is None else ports.plain


def test_processes_killed_while_a_revision_becomes_active_all_run_it_afterwards(
    site: SwitchingSite,
) -> None:
    killed = {role: site.process_of(role) for role in Role}
    revision = site.activate(replace(site.content, archive="third"))
    for process in killed.values():
        os.kill(process, signal.SIGKILL)
    until(lambda: _restarted(site, killed), START_S, "the processes to restart")
    site.wait_for(revision.number, len(Role), START_S)


def test_hosts_run_one_revision_and_one_that_cannot_use_it_keeps_the_last(
    tmp_path: Path, tls: TlsSite | None
) -> None:
    ports = {"SEGNODE_LISTENER__PORT": "0"}
    ports |= {} if tls is None else {"SEGNODE_LISTENER__TLS_PORT": "0"}
    with PostgresqlServer() as server:
        site = SwitchingSite(tmp_path, (Role.LISTENER,), tls, server.new_database(), ("one", "two"))
        one, two = site.hosts
        try:
            one.start(ports)
            # With this limit, the host cannot use a revision that reserves more.
            two.start(ports | {"SEGNODE_MONITORING__LOW_DISK_GIB": "2"})
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
                host.start(ports)
            _wait_until_used(again, one, two)
        finally:
            site.close()


def _wait_until_used(revision: Revision, *hosts: Host) -> None:
    """Waits until the hosts log that they use the revision."""
    event = f'"configuration.used", "name": "revision {revision.number}"'
    until(lambda: all(event in host.log() for host in hosts), START_S, event)


def _restarted(site: SwitchingSite, killed: dict[Role, int]) -> bool:
    running = {role: site.processes(MODULES[role]) for role in Role}
    return all(len(found) == 1 and found[0] != killed[r] for r, found in running.items())


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
