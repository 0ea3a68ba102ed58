"""/health and the console report a problem of the node as long as it lasts."""

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.domain.job import JobState
from tests.support.browser.busy_console import accept
from tests.support.dicom.builders import MADE_AT, ct_series
from tests.support.servers.served_node import ServedNode, running_worker, served_node
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import until

SIZE_MIB = 32
NO_RESERVE = "least_free_gib = 0\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """The disk with the node's data."""
    with small_disk(tmp_path / "data", SIZE_MIB) as made:
        yield made


@pytest.fixture
def node(disk: SmallDisk, tmp_path: Path) -> Iterator[ServedNode]:
    """A node with all its data on the disk."""
    with served_node(tmp_path, NO_RESERVE) as served, running_worker(served):
        yield served


def reported_problem(node: ServedNode, part: str) -> str:
    """Returns the problem that /health reports for a part; the console reports one too."""
    health = httpx.get(f"{node.url}/health")
    assert health.status_code == 503
    page = httpx.get(node.url)
    assert page.status_code == 200, "the console still shows what is stored"
    assert "Nothing is received or finished" in page.text
    assert not health.json()[part]["ok"]
    return str(health.json()[part]["message"])


def is_healthy(node: ServedNode) -> bool:
    """Whether neither /health nor the console reports a problem."""
    page = httpx.get(node.url).text
    return httpx.get(f"{node.url}/health").is_success and 'class="problem"' not in page


@pytest.mark.usefixtures("each_database_migrates")
def test_a_full_disk_is_reported_without_a_free_space_reserve(
    node: ServedNode, disk: SmallDisk
) -> None:
    assert is_healthy(node)
    before = sorted(disk.folder.iterdir())
    disk.fill()
    assert "No space left on device" in reported_problem(node, "disk")
    assert "full" in reported_problem(node, "database")
    disk.clear()
    assert is_healthy(node)
    assert sorted(disk.folder.iterdir()) == before


def test_a_read_only_disk_is_reported(disk: SmallDisk, tmp_path: Path) -> None:
    # A file that is open for writing prevents the remount as read-only.
    elsewhere = f'database_url = "sqlite:///{tmp_path / "segnode.db"}"\n'
    with served_node(tmp_path, NO_RESERVE + elsewhere) as node, running_worker(node):
        assert is_healthy(node)
        disk.remount("ro")
        assert "Read-only file system" in reported_problem(node, "disk")
        assert httpx.get(f"{node.url}/health").json()["database"]["ok"]
        disk.remount("rw")
        assert is_healthy(node)


def test_a_locked_database_is_reported_with_its_readable_counts(
    node: ServedNode, disk: SmallDisk
) -> None:
    locker = sqlite3.connect(disk.folder / "segnode.db", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    assert "database is locked" in reported_problem(node, "database")
    assert httpx.get(f"{node.url}/health").json()["database"]["jobs"]["queued"] == 0
    locker.execute("ROLLBACK")
    locker.close()
    assert is_healthy(node)


def test_a_read_only_database_file_is_reported(node: ServedNode, disk: SmallDisk) -> None:
    file = disk.folder / "segnode.db"
    # An immutable file is read-only for root too.
    frozen = subprocess.run(["chattr", "+i", str(file)], check=False, capture_output=True)
    if frozen.returncode != 0:
        pytest.skip("a file cannot be made immutable here: mkfs.ext4 and a loop device are needed")
    node.store.close()  # open connections can still write
    assert "readonly" in reported_problem(node, "database")
    subprocess.run(["chattr", "-i", str(file)], check=True)
    until(lambda: is_healthy(node), 5, "connections that can write")


def test_a_postponed_job_is_shown_with_its_reason_and_next_attempt(
    node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    job = accept(node, series)
    node.store.change_job(job.job_id, JobState.RUNNING, MADE_AT)
    reason = "the result cannot be kept: no space; it is tried again at 2026-01-02 03:04:05 UTC"
    node.store.set_waiting_reason(job.job_id, reason, MADE_AT)
    for path in ("/", f"/series/{series.series_instance_uid}"):
        page = httpx.get(f"{node.url}{path}").text
        assert "Will be retried" in page
        assert "The result cannot be kept: no space; it is tried again at 2026-01-02" in page
