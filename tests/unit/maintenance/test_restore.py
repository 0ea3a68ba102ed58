"""A restore verifies what it restores, needs an empty site, and is complete or not used."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured, Transient
from node.maintenance.backup.backup_folder import Backup, find_backup
from node.maintenance.backup.manifest import BackupRefused, digest_file, file_digest
from node.maintenance.verify import Verification
from node.processes.supervisor import serve_until_stopped
from node.store import Store
from node.store.migrate import LATEST_REVISION
from tests.support.backed_up_site import BackedUpSite, empty_target, opened, restore
from tests.support.factories import NOON

DAMAGED = "instances/1.2.3/1.2.3.2.dcm"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BackedUpSite]:
    """A site with a series of three images, a result, and a database of DBOS."""
    made = BackedUpSite(tmp_path / "site")
    for number in (1, 2, 3):
        made.receive(number)
    made.add_result("1.2.3", b"a result")
    with closing(sqlite3.connect(made.settings.engine_file)) as connection:
        connection.execute("CREATE TABLE workflows (id TEXT)")
        connection.execute("INSERT INTO workflows VALUES ('running')")
        connection.commit()
    yield made
    made.store.close()


@pytest.fixture
def backup(site: BackedUpSite) -> Backup:
    return site.back_up()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder that a backup is restored into; it does not exist yet."""
    return tmp_path / "restored"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def findings(store: Store) -> list[tuple[str, str]]:
    later = NOON.timestamp() + 1e9
    return [
        (each.fault.value, each.path.relative_to(store.data_dir).as_posix())
        for each in Verification(store, lambda: later).findings()
    ]


def test_a_restored_site_has_what_the_backup_has(
    site: BackedUpSite, backup: Backup, folder: Path
) -> None:
    target = empty_target(folder)
    assert restore(backup, target) == {}
    with opened(target) as store:
        assert findings(store) == []
        assert len(store.instances_of("1.2.3")) == 3
        (job,) = store.jobs_of("1.2.3")
        (seg,) = store.objects_of(job)
        assert seg.paths[0].read_bytes() == b"a result"
    with closing(sqlite3.connect(target.settings.engine_file)) as connection:
        assert connection.execute("SELECT id FROM workflows").fetchall() == [("running",)]
    assert not (folder / "restoring").exists()


def test_a_backup_with_a_damaged_file_is_refused_with_its_name(
    backup: Backup, folder: Path
) -> None:
    flip_a_bit(backup.files / DAMAGED)
    target = empty_target(folder)
    with pytest.raises(BackupRefused, match=f"damaged: {DAMAGED}"):
        restore(backup, target)
    with pytest.raises(Misconfigured, match=r"the restore of a backup .* has not finished"):
        Store.open(target.settings.database_url, folder)
    assert not (folder / "segnode.db").exists()


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink], ids=["damaged", "missing"])
def test_a_person_can_leave_out_damaged_files(
    backup: Backup, folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(backup.files / DAMAGED)
    target = empty_target(folder)
    with pytest.raises(BackupRefused):
        restore(backup, target)
    assert restore(backup, target, leave_out_damaged=True).keys() == {DAMAGED}
    with opened(target) as store:
        assert findings(store) == [("missing", DAMAGED)]


@pytest.mark.parametrize(
    "name", ["database/segnode.sqlite", "database/dbos.sqlite", "files.sqlite", "manifest.json"]
)
@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink], ids=["damaged", "missing"])
def test_a_backup_with_a_damaged_main_file_is_refused_and_nothing_is_restored(
    backup: Backup, folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(backup.folder / name)
    with pytest.raises(BackupRefused, match=re.escape(Path(name).name)):
        restore(backup, empty_target(folder))
    assert not folder.exists()


def change_manifest(backup: Backup, **changes: object) -> None:
    manifest = json.loads(backup.manifest_file.read_text(encoding="utf-8"))
    backup.manifest_file.write_text(json.dumps(manifest | changes), encoding="utf-8")
    digest = f"{file_digest(backup.manifest_file)}  manifest.json\n"
    digest_file(backup.manifest_file).write_text(digest, encoding="ascii")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_revision": "9999"}, rf"made by segnode .* 9999, .* newer than {LATEST_REVISION}"),
        ({"format": 2}, "whose backups this version cannot read"),
        ({"database": "postgresql"}, "set database_url to an empty database of postgresql"),
    ],
    ids=["schema", "format", "database"],
)
def test_a_backup_that_does_not_fit_is_refused(
    backup: Backup, folder: Path, changes: dict[str, object], message: str
) -> None:
    change_manifest(backup, **changes)
    with pytest.raises(BackupRefused, match=message):
        restore(backup, empty_target(folder))
    assert not folder.exists()


@pytest.mark.parametrize("name", ["instances", "segnode.db", "segnode.db-wal", "anything"])
def test_a_folder_that_is_not_empty_is_refused(backup: Backup, folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / name).touch()
    with pytest.raises(BackupRefused, match="is not empty: it has"):
        restore(backup, empty_target(folder))
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_log_beside_the_place_of_the_database_is_refused(
    backup: Backup, folder: Path, tmp_path: Path
) -> None:
    target = empty_target(folder)
    (tmp_path / "other.db-wal").touch()
    settings = target.settings.model_copy(
        update={"database_url": f"sqlite:///{tmp_path / 'other.db'}"}
    )
    with pytest.raises(BackupRefused, match=r"other\.db-wal exists"):
        restore(backup, type(target)(settings, target.files))


def test_an_interrupted_restore_continues_and_no_process_starts_before(
    backup: Backup, folder: Path
) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    target = empty_target(folder)
    with pytest.raises(KeyboardInterrupt):
        restore(backup, target, interrupt)
    with pytest.raises(Misconfigured, match="run `segnode restore` again with the same backup"):
        Store.open(target.settings.database_url, folder)
    assert restore(backup, target) == {}
    with opened(target) as store:
        assert findings(store) == []


def test_an_interrupted_restore_does_not_continue_with_another_backup(
    site: BackedUpSite, backup: Backup, folder: Path
) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    target = empty_target(folder)
    with pytest.raises(KeyboardInterrupt):
        restore(backup, target, interrupt)
    with pytest.raises(BackupRefused, match="a part of another backup"):
        restore(site.back_up(), target)


def test_no_backup_is_made_of_a_restore_in_part(
    site: BackedUpSite, backup: Backup, folder: Path
) -> None:
    flip_a_bit(backup.files / DAMAGED)
    with pytest.raises(BackupRefused):
        restore(backup, empty_target(folder))
    site.data_dir, site.settings = folder, empty_target(folder).settings
    with pytest.raises(Misconfigured, match="has not finished"):
        site.back_up()


def test_a_node_does_not_start_on_a_restore_in_part(
    backup: Backup, folder: Path, tmp_path: Path
) -> None:
    flip_a_bit(backup.files / DAMAGED)
    with pytest.raises(BackupRefused):
        restore(backup, empty_target(folder))
    before = sorted(folder.rglob("*"))
    config = tmp_path / "segnode.toml"
    config.write_text(f'data_dir = "{folder}"\n', encoding="utf-8")
    with pytest.raises(Misconfigured, match="has not finished"):
        serve_until_stopped(config)
    assert sorted(folder.rglob("*")) == before, "not even a record of the audit trail is written"


def test_a_list_that_leads_out_of_the_folder_restores_nothing_there(
    backup: Backup, folder: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(backup.file_list)) as connection:
        connection.execute("UPDATE files SET path = '../outside' WHERE path LIKE 'results/%'")
        connection.commit()
    (backup.folder / "outside").write_bytes(b"a result")
    manifest = backup.manifest()
    digests = manifest.digests | {"files.sqlite": file_digest(backup.file_list)}
    change_manifest(backup, digests=digests)
    with pytest.raises(BackupRefused, match=r"damaged: \.\./outside"):
        restore(backup, empty_target(folder))
    assert not (tmp_path / "outside").exists()


def test_a_folder_stands_for_its_newest_backup(site: BackedUpSite, backup: Backup) -> None:
    newest = site.back_up()
    assert find_backup(site.backups.folder) == newest
    assert find_backup(backup.folder) == backup


def test_a_folder_without_a_complete_backup_is_refused(site: BackedUpSite) -> None:
    site.backups.begin()
    with pytest.raises(BackupRefused, match="is not a complete backup, and holds none"):
        find_backup(site.backups.folder)


def test_a_disk_that_cannot_be_written_stops_the_restore_with_the_remedy(
    backup: Backup, folder: Path
) -> None:
    folder.parent.joinpath("file").touch()
    target = empty_target(folder.parent / "file" / "data")
    with pytest.raises(Transient, match=r"the restore into .* has stopped: .*Run the command"):
        restore(backup, target)
