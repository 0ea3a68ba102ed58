"""What keeps the node from its work is told in /health and in the console, as long as it lasts."""

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
    """That of the node's data."""
    with small_disk(tmp_path / "data", SIZE_MIB) as made:
        yield made


@pytest.fixture
def node(disk: SmallDisk, tmp_path: Path) -> Iterator[ServedNode]:
    """One with all its data on the disk."""
    with served_node(tmp_path, NO_RESERVE) as served, running_worker(served):
        yield served


def told(node: ServedNode, part: str) -> str:
    """What /health says of a part that is not well, and the console of the node."""
    health = httpx.get(f"{node.url}/health")
    assert health.status_code == 503
    page = httpx.get(node.url)
    assert page.status_code == 200, "what is known can still be read"
    assert "Nothing is received or finished" in page.text
    assert not health.json()[part]["ok"]
    return str(health.json()[part]["message"])


def is_well(node: ServedNode) -> bool:
    """Whether neither tells of anything."""
    page = httpx.get(node.url).text
    return httpx.get(f"{node.url}/health").is_success and 'class="problem"' not in page


def test_a_full_disk_is_told_though_nothing_is_to_stay_free(
    node: ServedNode, disk: SmallDisk
) -> None:
    assert is_well(node)
    before = sorted(disk.folder.iterdir())
    disk.fill()
    assert "No space left on device" in told(node, "disk")
    assert "full" in told(node, "database")
    disk.make_room()
    assert is_well(node)
    assert sorted(disk.folder.iterdir()) == before


def test_a_disk_that_is_read_only_is_told(disk: SmallDisk, tmp_path: Path) -> None:
    # What is open for writing would keep the system from making it read-only.
    elsewhere = f'database_url = "sqlite:///{tmp_path / "segnode.db"}"\n'
    with served_node(tmp_path, NO_RESERVE + elsewhere) as node, running_worker(node):
        assert is_well(node)
        disk.remount("ro")
        assert "Read-only file system" in told(node, "disk")
        assert httpx.get(f"{node.url}/health").json()["database"]["ok"]
        disk.remount("rw")
        assert is_well(node)


def test_a_locked_database_is_told_with_what_can_be_read_of_it(
    node: ServedNode, disk: SmallDisk
) -> None:
    locker = sqlite3.connect(disk.folder / "segnode.db", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    assert "database is locked" in told(node, "database")
    assert httpx.get(f"{node.url}/health").json()["database"]["jobs"]["queued"] == 0
    locker.execute("ROLLBACK")
    locker.close()
    assert is_well(node)


def test_a_database_file_that_is_read_only_is_told(node: ServedNode, disk: SmallDisk) -> None:
    file = disk.folder / "segnode.db"
    # Holds for root too.
    frozen = subprocess.run(["chattr", "+i", str(file)], check=False, capture_output=True)
    if frozen.returncode != 0:
        pytest.skip("a file cannot be made immutable here: mkfs.ext4 and a loop device are needed")
    node.store.close()  # connections that are open may write on
    assert "readonly" in told(node, "database")
    subprocess.run(["chattr", "-i", str(file)], check=True)
    until(lambda: is_well(node), 5, "connections that can write")


def test_a_job_that_is_put_off_is_shown_with_its_reason_and_next_try(
    node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    job = accept(node, series)
    node.store.change_job(job.job_id, JobState.RUNNING, MADE_AT)
    told = "the result cannot be kept: no space; it is tried again at 2026-01-02 03:04:05 UTC"
    node.store.set_waiting_reason(job.job_id, told, MADE_AT)
    for place in ("/", f"/series/{series.series_instance_uid}"):
        page = httpx.get(f"{node.url}{place}").text
        assert "Will be tried again" in page
        assert "The result cannot be kept: no space; it is tried again at 2026-01-02" in page
