"""Rolling upgrade: old and new versions share jobs and database.

DICOM uses TLS; no host serves HTTP.

The old version is this one and the new version adds a migration. With SEGNODE_UPGRADE_FROM, the old
version is the checkout in that folder and the new version is this one.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.store.migrate import LATEST_REVISION
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.hosts import MultiHostSite
from tests.support.processes.running_node import small_abdomen
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
WORK_S = 180.0
UPGRADE_FROM = os.environ.get("SEGNODE_UPGRADE_FROM", "")
OLD_VERSION = {"PYTHONPATH": UPGRADE_FROM} if UPGRADE_FROM else {}
STORE = Path("node", "store")
MIGRATIONS = STORE / "migrations" / "versions"
NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("mood", sa.Text(), nullable=False, server_default="good"))
    op.create_table("moods", sa.Column("mood", sa.Text(), primary_key=True))
"""


@pytest.fixture
def site(tmp_path: Path, pacs: OrthancPacs, tls: TlsSite | None) -> Iterator[MultiHostSite]:
    """A running listener and two running workers of the old version."""
    with pacs, PostgresqlServer() as server:
        made = MultiHostSite(tmp_path, pacs, server.new_database(), 2, tls=tls)
        try:
            made.start(OLD_VERSION)
            yield made
        finally:
            made.close()


def test_a_site_upgraded_host_by_host_finishes_every_job(
    site: MultiHostSite, tmp_path: Path
) -> None:
    next_version = {} if UPGRADE_FROM else write_next_version(tmp_path / "next")
    first, second = site.workers
    series = send(site, tmp_path, seeds=(61, 62))
    until(lambda: jobs_in(site, JobState.RUNNING), WORK_S, "a worker to run a job")

    first.stop()
    first.start(next_version)
    first.wait_ready()
    series |= send(site, tmp_path, seeds=(63, 64))
    # A worker of the old version restarts and finds a newer schema.
    second.kill()
    second.start(OLD_VERSION)
    second.wait_ready()
    site.listener.stop()
    site.listener.start(next_version)
    site.listener.wait_ready()
    series |= send(site, tmp_path, seeds=(65,))
    second.stop()
    second.start(next_version)

    jobs = site.ended_jobs(len(series), WORK_S)
    assert UPGRADE_FROM or "store.newer_schema" in second.log()
    assert {job.series_instance_uid for job in jobs} == set(series)
    for job in jobs:
        assert job.state is JobState.DELIVERED, job.reason
        expected = ObjectUids(job.job_id, SEG).sop_instance_uid()
        assert site.results(series[job.series_instance_uid]) == [expected]


def write_next_version(folder: Path) -> dict[str, str]:
    """Copies this version and adds a migration; returns the environment that selects it."""
    for package in ("node", "pacs_listener", "models"):
        shutil.copytree(ROOT / package, folder / package)
    head = max(path.name[1:5] for path in (ROOT / MIGRATIONS).glob("v*.py"))
    (folder / MIGRATIONS / "v9999_moods.py").write_text(NEXT_MIGRATION.format(head=head))
    migrate = folder / STORE / "migrate.py"
    text = migrate.read_text(encoding="utf-8")
    line = f'\nLATEST_REVISION = "{LATEST_REVISION}"\n'
    assert line in text
    migrate.write_text(text.replace(line, '\nLATEST_REVISION = "9999"\n'), encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def jobs_in(site: MultiHostSite, state: JobState) -> int:
    """Number of jobs in that state."""
    return site.store.count_jobs().get(state, 0)


def send(site: MultiHostSite, folder: Path, *, seeds: tuple[int, ...]) -> dict[Uid, Uid]:
    """Sends a series for each seed; returns the study of each series."""
    sent = {}
    for seed in seeds:
        files = small_abdomen(folder / f"ct{seed}", seed=seed)
        header = dcmread(files[0], stop_before_pixels=True)
        site.send(files)
        sent[Uid(header.SeriesInstanceUID)] = Uid(header.StudyInstanceUID)
    return sent
