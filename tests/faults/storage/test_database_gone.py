"""A database that is unavailable or locked: senders get an error status, nothing is lost.

DICOM uses TLS; no process serves HTTP. `test_login_faults` is about logins.
"""

import sqlite3
from pathlib import Path

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.storing import statuses
from tests.support.processes.hosts import MultiHostSite
from tests.support.processes.listener_process import ListenerProcess
from tests.support.processes.running_node import small_abdomen
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.waiting import until

OUT_OF_RESOURCES = 0xA700  # PS3.4 table B.2-1
WORK_S = 180.0


def test_a_database_outage_during_processing_loses_nothing(
    pacs: OrthancPacs, tls: TlsSite | None, tmp_path: Path
) -> None:
    pacs.start()
    series = [small_abdomen(tmp_path / str(seed), seed=seed) for seed in (51, 52, 53)]
    with PostgresqlServer() as server:
        site = MultiHostSite(tmp_path, pacs, server.new_database(), 1, tls=tls)
        try:
            site.start()
            site.send(series[0])
            site.send(series[1])
            until(lambda: site.store.list_jobs(9, {JobState.RUNNING}), WORK_S, "a job to run")
            server.stop()
            assert statuses(site.scp, series[2][:2]) == [OUT_OF_RESOURCES] * 2
            # The running job ends, and the worker cannot record it.
            until(lambda: "timer.failed" in site.workers[0].log(), WORK_S, "the worker to notice")
            server.start()
            site.send(series[2])
            site.ended_jobs(3, WORK_S)

            for job in site.store.list_jobs():
                assert job.state is JobState.DELIVERED, job.reason
                result = ObjectUids(job.job_id, SEG).sop_instance_uid()
                assert site.results(job.study_instance_uid) == [result]
            processes = site.listener.log() + site.workers[0].log()
            assert "process.ended" not in processes, "they wait and keep running"
        finally:
            site.close()


def test_a_locked_database_is_reported_to_the_sender_until_it_recovers(
    tmp_path: Path, tls: TlsSite | None
) -> None:
    files = small_abdomen(tmp_path / "ct", seed=54)[:3]
    with ListenerProcess(tmp_path / "data", tls=tls) as listener:
        assert statuses(listener.scp, files[:1]) == [0x0000]
        (file,) = (tmp_path / "data").glob("segnode.*db")
        locker = sqlite3.connect(file, isolation_level=None)
        locker.execute("BEGIN EXCLUSIVE")
        assert statuses(listener.scp, files[1:2]) == [OUT_OF_RESOURCES]
        locker.execute("ROLLBACK")
        locker.close()
        assert statuses(listener.scp, files[1:]) == [0x0000] * 2


def test_the_stop_of_a_listener_that_a_locked_database_loses_is_stated_after_its_next_start(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    with ListenerProcess(data_dir) as listener:
        (file,) = data_dir.glob("segnode.*db")
        locker = sqlite3.connect(file, isolation_level=None)
        locker.execute("BEGIN EXCLUSIVE")
        listener.stop()
        assert any("audit.not_recorded" in line for line in listener.log)
        locker.execute("ROLLBACK")
        locker.close()
    store = Store.open(f"sqlite:///{file}", data_dir)
    with ListenerProcess(data_dir):
        until(lambda: len(audit_records(store)) == 3, WORK_S, "the statement of the loss")
    found = {each.action: each.detail for each in audit_records(store)}
    store.close()
    assert set(found) == {"started", "audit records lost"}
    assert found["audit records lost"].startswith("records that could not be written: 1; ")
