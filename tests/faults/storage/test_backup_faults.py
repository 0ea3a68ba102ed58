"""A backup or restore that is killed, or whose disk is full: nothing is lost, and it continues."""

import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured, Transient
from node.maintenance.backup.backup_folder import Backup, BackupFolder
from node.maintenance.backup.restore import VerifiedBackup
from node.maintenance.verify import Verification
from node.store import Store
from tests.support.backed_up_site import (
    BackedUpSite,
    empty_target,
    ignore_progress,
    opened,
    restore,
)
from tests.support.factories import NOON
from tests.support.prepared.starting import start_program
from tests.support.processes.killed_backup import BackupKillPoint, RestoreKillPoint
from tests.support.small_disk import SmallDisk, small_disk

IMAGES = 40
START_S = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackedUpSite]:
    """A site with images, a result, a database of DBOS, and one backup."""
    made = BackedUpSite(tmp_path_factory.mktemp("site"))
    for number in range(IMAGES):
        made.receive(number)
    made.add_result("1.2.3", b"a result")
    with closing(sqlite3.connect(made.settings.engine_file)) as connection:
        connection.execute("CREATE TABLE workflows (id TEXT)")
        connection.commit()
    made.back_up()
    yield made
    made.store.close()


def kill(folder: Path, backups: Path, point: str) -> None:
    """Runs a backup or a restore that dies at that point."""
    module = "tests.support.processes.killed_backup"
    command = [sys.executable, "-m", module, str(folder), str(backups), point]
    assert start_program(command).wait(START_S) == -signal.SIGKILL


def is_intact(backup: Backup) -> bool:
    verified = VerifiedBackup.open(backup)
    return verified.read_files(lambda _file, _content: None, ignore_progress) == {}


def check_restored(folder: Path) -> None:
    """Checks that `segnode store verify` finds nothing, and that nothing is missing."""
    with opened(empty_target(folder)) as store:
        assert list(Verification(store, lambda: NOON.timestamp() + 1e9).findings()) == []
        assert store.count_instances() >= IMAGES
        (job,) = store.jobs_of("1.2.3")
        assert store.objects_of(job)[0].paths[0].read_bytes() == b"a result"


@pytest.mark.parametrize("point", BackupKillPoint)
def test_a_killed_backup_leaves_the_earlier_ones_and_continues(
    site: BackedUpSite, tmp_path: Path, point: BackupKillPoint
) -> None:
    site.backups = BackupFolder(site.folder / "backups")
    earlier = site.backups.backups()
    kill(site.data_dir, site.backups.folder, point)
    assert site.backups.backups() == earlier
    assert is_intact(earlier[-1])
    assert restore(site.back_up(), empty_target(tmp_path / "restored")) == {}
    check_restored(tmp_path / "restored")


@pytest.mark.parametrize("point", RestoreKillPoint)
def test_no_node_starts_on_a_killed_restore_and_it_continues(
    site: BackedUpSite, tmp_path: Path, point: RestoreKillPoint
) -> None:
    site.backups = BackupFolder(site.folder / "backups")
    folder = tmp_path / "restored"
    kill(folder, site.backups.folder, point)
    target = empty_target(folder)
    with pytest.raises(Misconfigured, match="run `segnode restore` again with the same backup"):
        Store.open(target.settings.database_url, folder)
    assert restore(site.backups.backups()[-1], target) == {}
    check_restored(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 16) as made:
        yield made


def test_a_backup_on_a_full_disk_leaves_the_earlier_ones_and_continues(
    site: BackedUpSite, disk: SmallDisk, tmp_path: Path
) -> None:
    site.backups = BackupFolder(disk.folder)
    first = site.back_up()
    site.receive(IMAGES, size_bytes=2 << 20)
    # Nothing can be written, the database cannot, or an image cannot.
    for free_bytes in (0, 16 << 10, 2 << 20):
        disk.fill(free_bytes=free_bytes)
        with pytest.raises(Transient, match=r"Earlier backups are unchanged\. Run the command"):
            site.back_up()
        assert site.backups.backups() == [first]
        assert is_intact(first)
        disk.clear()
    second = site.back_up()
    assert restore(second, empty_target(tmp_path / "restored")) == {}
    check_restored(tmp_path / "restored")


def test_a_restore_onto_a_full_disk_continues_once_there_is_space(
    site: BackedUpSite, disk: SmallDisk
) -> None:
    site.backups = BackupFolder(site.folder / "backups")
    backup = site.backups.backups()[0]
    folder = disk.folder / "data"
    for free_bytes in (0, 64 << 10, 300 << 10):
        disk.fill(free_bytes=free_bytes)
        with pytest.raises(Transient, match="it continues where it stopped"):
            restore(backup, empty_target(folder))
        disk.clear()
    assert restore(backup, empty_target(folder)) == {}
    check_restored(folder)
