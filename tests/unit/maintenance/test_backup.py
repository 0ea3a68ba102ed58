"""A backup holds what its copy of the database names, and only copies what has changed."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from node.domain.errors import Transient
from node.maintenance.backup.backup import MakeBackup
from node.maintenance.backup.backup_folder import Backup, BackupFolder
from node.maintenance.backup.file_list import FileList
from node.maintenance.backup.manifest import BackupRefused
from node.maintenance.verify import Verification
from node.store.named_files import COLUMNS_WITH_PATHS
from node.store.schema import INSTANCES, METADATA
from tests.support.backed_up_site import (
    BackedUpSite,
    InterceptedFiles,
    empty_target,
    ignore_progress,
    opened,
    restore,
)
from tests.support.factories import NOON


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BackedUpSite]:
    """A site with a series of three images and a result."""
    made = BackedUpSite(tmp_path)
    for number in (1, 2, 3):
        made.receive(number)
    made.add_result("1.2.3", b"a result")
    yield made
    made.store.close()


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder with their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def inodes(backup: Backup) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in backup.files.rglob("*") if path.is_file()}


def before_copies(site: BackedUpSite, action: Callable[[], object]) -> None:
    """Acts whenever a backup of the site is about to copy files."""
    assert isinstance(site.stored_in, InterceptedFiles)
    site.stored_in.before_copies = action


def stored_files(site: BackedUpSite) -> dict[str, bytes]:
    """The images and results in the data folder."""
    found = contents(site.data_dir)
    return {name: found[name] for name in found if name.startswith(("instances/", "results/"))}


def restored_findings(backup: Backup, folder: Path) -> list[str]:
    """Restores a backup; returns what `segnode store verify` finds then."""
    target = empty_target(folder)
    assert restore(backup, target) == {}
    with opened(target) as store:
        later = NOON.timestamp() + 1e9
        return [each.fault for each in Verification(store, lambda: later).findings()]


def test_a_backup_holds_every_image_and_result(site: BackedUpSite) -> None:
    backup = site.back_up()
    assert contents(backup.files) == stored_files(site)
    manifest = backup.manifest()
    assert (manifest.file_count, manifest.lost) == (4, {})
    assert manifest.size_bytes == sum(map(len, stored_files(site).values()))
    assert manifest.digests.keys() == {"database/segnode.sqlite", "files.sqlite"}


def test_files_that_did_not_change_are_links_to_the_backup_before(site: BackedUpSite) -> None:
    first = inodes(site.back_up())
    site.receive(4)
    second = inodes(site.back_up())
    assert second.keys() - first.keys() == {"1.2.3.4.dcm"}
    assert {name: second[name] for name in first} == first


def test_a_result_that_was_replaced_is_copied_and_the_earlier_backup_keeps_its_own(
    site: BackedUpSite,
) -> None:
    first = site.back_up()
    result = site.add_result("1.2.3", b"A RESULT").relative_to(site.data_dir)
    second = site.back_up()
    assert (first.files / result).read_bytes() == b"a result"
    assert (second.files / result).read_bytes() == b"A RESULT"


def test_a_series_that_is_deleted_during_the_backup_is_in_neither_copy(
    site: BackedUpSite, tmp_path: Path
) -> None:
    site.receive(1, series="1.2.4")
    site.decide("1.2.4", 1)

    before_copies(site, lambda: site.store.clear_series("1.2.4", NOON))
    backup = site.back_up()
    assert backup.manifest().lost == {}
    assert contents(backup.files) == stored_files(site)
    assert restored_findings(backup, tmp_path / "restored") == []


def test_an_image_that_arrives_during_the_backup_is_left_to_the_next_one(
    site: BackedUpSite, tmp_path: Path
) -> None:
    numbers = iter(range(10, 100))

    before_copies(site, lambda: site.receive(next(numbers)))
    backup = site.back_up()
    assert backup.manifest().file_count == 4
    assert restored_findings(backup, tmp_path / "restored") == []


def test_a_file_that_the_node_has_lost_is_named(site: BackedUpSite) -> None:
    lost = site.receive(4)
    lost.unlink()
    backup = site.back_up()
    assert backup.manifest().lost == {"instances/1.2.3/1.2.3.4.dcm": "missing"}
    assert contents(backup.files) == stored_files(site)


def test_a_file_that_is_damaged_in_the_node_is_not_backed_up(site: BackedUpSite) -> None:
    path = site.receive(4)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    backup = site.back_up()
    assert backup.manifest().lost == {"instances/1.2.3/1.2.3.4.dcm": "damaged"}
    assert not (backup.files / "instances/1.2.3/1.2.3.4.dcm").exists()


def test_damage_in_the_node_does_not_reach_a_file_that_is_backed_up(site: BackedUpSite) -> None:
    path = site.receive(4)
    intact = path.read_bytes()
    site.back_up()
    path.write_bytes(intact[:-1] + b"?")
    backup = site.back_up()
    assert (backup.files / "instances/1.2.3/1.2.3.4.dcm").read_bytes() == intact


def test_a_copy_that_was_cut_short_in_the_last_backup_is_made_again(site: BackedUpSite) -> None:
    first = site.back_up()
    name = "instances/1.2.3/1.2.3.1.dcm"
    intact = (first.files / name).read_bytes()
    (first.files / name).write_bytes(intact[:-1])
    assert (site.back_up().files / name).read_bytes() == intact


def test_an_interrupted_backup_continues(site: BackedUpSite) -> None:
    for number in range(4, 40):
        site.receive(number)

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.back_up(interrupt)
    assert site.backups.backups() == []
    copied = inodes(site.backups.begin())
    assert len(copied) > 10
    backup = site.back_up()
    assert contents(backup.files) == stored_files(site)
    assert copied.items() <= inodes(backup).items()


def test_a_copy_that_is_no_longer_named_is_removed_when_a_backup_continues(
    site: BackedUpSite,
) -> None:
    site.receive(1, series="1.2.4")
    site.decide("1.2.4", 1)

    def interrupt(done: int, total: int) -> None:
        assert done == total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.back_up(interrupt)
    assert site.store.clear_series("1.2.4", NOON)
    assert contents(site.back_up().files) == stored_files(site)


def test_a_damaged_list_of_an_interrupted_backup_starts_anew(site: BackedUpSite) -> None:
    site.backups.begin().file_list.write_bytes(b"no database, but bytes" * 1000)
    assert contents(site.back_up().files) == stored_files(site)


def test_remains_of_interrupted_copies_of_databases_are_removed(site: BackedUpSite) -> None:
    incomplete = site.backups.begin()
    (incomplete.database / "segnode.sqlite-journal").write_bytes(b"of a copy that was killed")
    (incomplete.database / "segnode.pgdump").write_bytes(b"of another database")
    assert contents(site.back_up().database).keys() == {"segnode.sqlite"}


def test_older_backups_are_deleted_and_the_others_stay_whole(
    site: BackedUpSite, tmp_path: Path
) -> None:
    made = [site.back_up() for _ in range(4)]
    deleted = site.backups.keep_newest(2, made[-1])
    assert deleted == [made[0].folder.name, made[1].folder.name]
    assert site.backups.backups() == made[2:]
    assert restored_findings(made[2], tmp_path / "restored") == []


def test_with_a_wrong_clock_no_backup_is_deleted(site: BackedUpSite) -> None:
    earlier, made = site.back_up(), site.back_up()
    future = site.backups.folder / "2999-01-01T000000Z"
    earlier.folder.rename(future)
    with pytest.raises(BackupRefused, match=r"2999-01-01T000000Z is newer .* Check the clock"):
        site.backups.keep_newest(1, made)
    assert {backup.folder for backup in site.backups.backups()} == {made.folder, future}


def test_a_second_restore_into_a_folder_is_refused(site: BackedUpSite, tmp_path: Path) -> None:
    backup, target = site.back_up(), empty_target(tmp_path / "restored")
    target.data_dir.mkdir(parents=True, exist_ok=True)
    other = os.open(target.data_dir, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(BackupRefused, match=r"another restore into .* runs"):
            restore(backup, target)
    finally:
        os.close(other)
    assert restore(backup, target) == {}


def test_a_second_backup_at_the_same_time_is_refused(site: BackedUpSite) -> None:
    with site.backups.locked(), pytest.raises(BackupRefused, match=r"another backup .* is running"):
        site.back_up()


def test_a_folder_that_cannot_be_written_is_reported(site: BackedUpSite) -> None:
    (site.backups.folder / "backup.lock").mkdir()
    with pytest.raises(Transient, match=r"cannot be written: .*backup\.lock"):
        site.back_up()


def test_what_was_left_of_a_deleted_backup_is_removed(site: BackedUpSite) -> None:
    remains = site.backups.folder / "2026-01-01T010000Z.removed"
    remains.mkdir()
    kept = site.back_up()
    assert site.backups.keep_newest(1, kept) == []
    assert not remains.exists()
    assert site.backups.backups() == [kept]


@pytest.mark.parametrize(
    ("folder", "message"),
    [("missing", "create it first"), ("data/backups", "is in the data folder")],
)
def test_an_unsuitable_folder_is_refused(
    site: BackedUpSite, tmp_path: Path, folder: str, message: str
) -> None:
    (tmp_path / "data" / "backups").mkdir()
    site.backups = BackupFolder(tmp_path / folder)
    with pytest.raises(BackupRefused, match=message):
        site.back_up()


def test_a_damaged_database_is_not_backed_up(site: BackedUpSite) -> None:
    earlier = site.back_up()
    site.store.close()
    file = site.data_dir / "segnode.db"
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    file.write_bytes(content)
    with pytest.raises(BackupRefused, match=r"segnode\.db is damaged"):
        site.back_up()
    assert site.backups.backups() == [earlier]


def test_a_backup_of_an_earlier_schema_does_not_change_it(site: BackedUpSite) -> None:
    site.store.close()
    with closing(sqlite3.connect(site.data_dir / "segnode.db")) as connection:
        connection.execute("DROP TABLE shadow_runs")
        connection.execute("UPDATE alembic_version SET version_num = '0017'")
        connection.commit()
    assert site.back_up().manifest().schema_revision == "0017"
    with closing(sqlite3.connect(site.data_dir / "segnode.db")) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert revision == "0017"


def test_every_column_that_holds_paths_is_backed_up() -> None:
    holding = {c for table in METADATA.sorted_tables for c in table.c if "path" in c.name}
    assert holding == {*COLUMNS_WITH_PATHS, INSTANCES.c.path}


def test_the_list_yields_every_file_in_batches(site: BackedUpSite) -> None:
    backup = site.back_up()
    with closing(FileList.open_complete(backup.file_list)) as files:
        batches = list(files.files(3))
    assert [len(batch) for batch in batches] == [3, 1]


def test_a_folder_with_backups_of_another_site_is_refused(
    site: BackedUpSite, tmp_path: Path
) -> None:
    first = site.back_up()
    other = BackedUpSite(tmp_path / "other")
    with pytest.raises(BackupRefused, match="holds the backups of another site"):
        MakeBackup(other.site, site.backups, lambda: NOON, ignore_progress).run()
    other.store.close()
    site.back_up()
    assert len(site.backups.backups()) == 2
    assert site.backups.backups()[0] == first
