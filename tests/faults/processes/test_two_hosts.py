"""Several workers share one PostgreSQL: when one dies or freezes, the others do its work.

DICOM uses TLS; no host serves HTTP.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.storing import statuses
from tests.support.processes.hosts import Host, MultiHostSite
from tests.support.processes.running_node import small_abdomen
from tests.support.processes.secured_site import orthanc_settings
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.servers.s3_server import S3Server
from tests.support.waiting import until

TAKEOVER_TIMEOUT_S = 60.0  # the documented time from a worker's death to its takeover
WORK_S = 120.0
OUT_OF_RESOURCES = 0xA700  # PS3.4 table B.2-1


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, tls: TlsSite | None) -> Iterator[OrthancPacs]:
    """The PACS of every site in this module."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("orthanc")
    pacs = OrthancPacs(folder, configuration=orthanc_settings(tls))
    pacs.start()
    yield pacs
    pacs.kill()


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, orthanc: OrthancPacs, tls: TlsSite | None
) -> Iterator[MultiHostSite]:
    """Three running workers, shared by the tests: each leaves three workers behind."""
    folder = tmp_path_factory.mktemp("site")
    with PostgresqlServer() as server:
        # All series of a test arrive within the quiet time, so that every worker gets a job.
        url = server.new_database()
        made = MultiHostSite(folder, orthanc, url, 3, quiet_seconds=4, tls=tls)
        try:
            made.start()
            yield made
        finally:
            made.close()


def test_hosts_that_share_a_bucket_survive_a_dead_host_and_an_unreachable_bucket(
    orthanc: OrthancPacs,
    tls: TlsSite | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    series = [small_abdomen(tmp_path / str(seed), seed=seed) for seed in range(71, 75)]
    with PostgresqlServer() as server, S3Server() as s3:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        site = MultiHostSite(
            tmp_path,
            orthanc,
            server.new_database(),
            2,
            quiet_seconds=3,  # all series arrive within it, so that both workers get a job
            store_url=f"s3://{s3.new_bucket()}/site",
            store_endpoint=s3.endpoint,
            tls=tls,
        )
        try:
            site.start()
            leader = site.workers[0]
            for files in series[:3]:
                site.send(files)
            until(lambda: is_segmenting(site, leader), WORK_S, "the leading worker to run a job")
            leader.kill()
            s3.stop()
            assert statuses(site.scp, series[3][:1]) == [OUT_OF_RESOURCES]
            s3.start()
            site.send(series[3])

            jobs = site.ended_jobs(4, TAKEOVER_TIMEOUT_S + WORK_S)
            check_delivered_once(site)
            assert {job.instance_count for job in jobs} == {len(series[3])}
            for host in ("listener", "worker2"):
                assert not list((tmp_path / host).rglob("*.dcm")), "nothing stays on a host"
        finally:
            site.close()


def test_the_other_hosts_finish_the_jobs_and_take_over_the_leadership_of_a_dead_host(
    site: MultiHostSite, tmp_path: Path
) -> None:
    leader = site.workers[0]
    send(site, tmp_path / "a", seeds=range(31, 35))
    until(lambda: is_segmenting(site, leader), WORK_S, "the leading worker to run a job")
    leader.kill()
    send(site, tmp_path / "b", seeds=range(35, 37))

    site.ended_jobs(6, TAKEOVER_TIMEOUT_S + WORK_S)
    check_delivered_once(site)
    survivors = "".join(worker.log() for worker in site.workers[1:])
    assert "worker.dead" in survivors
    assert "worker.work_taken_over" in survivors
    leader.start()
    leader.wait_ready()


def test_a_frozen_host_detects_its_removal_and_repeats_no_work(
    site: MultiHostSite, tmp_path: Path
) -> None:
    earlier = len(site.store.list_jobs())
    frozen = next(worker for worker in site.workers[1:] if "worker.leads" in worker.log())
    starts = frozen.log().count("worker.ready")
    send(site, tmp_path, seeds=range(41, 44))
    until(lambda: is_segmenting(site, frozen), WORK_S, "the leading worker to run a job")
    frozen.freeze()
    site.ended_jobs(earlier + 3, TAKEOVER_TIMEOUT_S + WORK_S)
    frozen.thaw()
    until(lambda: "worker.removed" in frozen.log(), WORK_S, "the worker to notice")
    until(lambda: frozen.log().count("worker.ready") == starts + 1, WORK_S, "it to come back")

    site.ended_jobs(earlier + 3, WORK_S)
    check_delivered_once(site)


def send(site: MultiHostSite, folder: Path, seeds: range) -> None:
    """Sends one small CT series for each seed, without a pause."""
    series = [small_abdomen(folder / str(seed), seed=seed) for seed in seeds]
    for files in series:
        site.send(files)


def is_segmenting(site: MultiHostSite, host: Host) -> bool:
    """Whether the host is segmenting a job."""
    running = [job.job_id for job in site.store.list_jobs(100, {JobState.RUNNING})]
    stages = [line for line in host.log().splitlines() if "job.stage" in line]
    return any(name in stages[-1] for name in running) if stages else False


def check_delivered_once(site: MultiHostSite) -> None:
    """Every job is delivered, and its result is the only SEG of its study in the PACS."""
    for job in site.store.list_jobs():
        assert job.state is JobState.DELIVERED, job.reason
        assert site.results(job.study_instance_uid) == [
            ObjectUids(job.job_id, SEG).sop_instance_uid()
        ]
