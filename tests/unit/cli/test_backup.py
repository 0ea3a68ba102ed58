"""`segnode backup` and `segnode restore`: their output and exit status."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from node.cli.main import main
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.backed_up_site import BackedUpSite

DAMAGED = "instances/1.2.3/1.2.3.1.dcm"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BackedUpSite]:
    """A site with a configuration file and two images."""
    made = BackedUpSite(tmp_path)
    (tmp_path / "site.toml").write_text('data_dir = "data"\n', encoding="utf-8")
    made.receive(1)
    made.receive(2)
    yield made
    made.store.close()


def run(site: BackedUpSite, *arguments: str | Path) -> int:
    """Runs `segnode ARGUMENTS` with the configuration of the site; returns the exit status."""
    words = ["segnode", *map(str, arguments), "--config", str(site.folder / "site.toml")]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exited:
        patch.setattr(sys, "argv", words)
        main()
    code = exited.value.code
    return code if isinstance(code, int) else 0


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_backup_is_made_checked_and_restored(
    site: BackedUpSite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = site.backups.folder
    assert run(site, "backup", folder) == 0
    (backup,) = site.backups.backups()
    output = capsys.readouterr()
    assert f"{backup.folder}: 2 images and results" in output.out
    assert "backup: 2 of 2 files" in output.err
    assert (backup.folder / "segnode.toml").read_text(encoding="utf-8") == 'data_dir = "data"\n'
    assert run(site, "restore", folder, "--check") == 0
    assert "every file is as it was backed up" in capsys.readouterr().out
    assert run(site, "restore", folder, "--into", tmp_path / "restored") == 0
    output = capsys.readouterr()
    assert f"is restored into {tmp_path / 'restored'}: 2 images and results" in output.out
    assert "restore: 2 of 2 files" in output.err
    assert (tmp_path / "restored" / DAMAGED).is_file()


def test_backups_and_restores_are_in_the_audit_trail(site: BackedUpSite, tmp_path: Path) -> None:
    assert run(site, "backup", site.backups.folder) == 0
    (made,) = audit_records(site.store)
    (backup,) = site.backups.backups()
    assert (made.action, made.outcome, made.interface) == ("backed up", "success", "cli")
    assert made.objects == (("backup", str(backup.folder)),)
    assert made.detail.startswith("2 images and results")

    restored = tmp_path / "restored"
    assert run(site, "restore", backup.folder, "--into", restored) == 0
    store = Store.open(f"sqlite:///{restored / 'segnode.db'}", restored)
    (record,) = audit_records(store)
    assert store.audit_chain_faults() == ()
    store.close()
    assert (record.action, record.objects) == ("restored", made.objects)


def test_the_trail_is_part_of_a_backup_and_a_later_head_is_absent(
    site: BackedUpSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(site, "backup", site.backups.folder)
    (before,) = site.store.audit_chain_heads()
    run(site, "backup", site.backups.folder)  # it has the record of the first one
    (after,) = site.store.audit_chain_heads()
    restored = tmp_path / "restored"
    run(site, "restore", site.backups.folder, "--into", restored)
    (tmp_path / "site.toml").write_text('data_dir = "restored"\n', encoding="utf-8")
    assert run(site, "audit", "verify", "--expect", before.last.hash) == 0
    capsys.readouterr()
    assert run(site, "audit", "verify", "--expect", after.last.hash) == 1
    assert f"noted head {after.last.hash} was changed or removed" in capsys.readouterr().err


def test_a_backup_that_cannot_be_written_is_recorded(
    site: BackedUpSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("node.maintenance.backup.backup.write_manifest", fail)
    assert run(site, "backup", site.backups.folder) == 1
    (record,) = audit_records(site.store)
    assert (record.action, record.outcome) == ("backed up", "serious failure")
    assert "its disk is full" in record.detail


def test_a_backup_into_a_folder_that_is_missing_is_recorded(site: BackedUpSite) -> None:
    missing = site.folder / "not mounted"
    assert run(site, "backup", missing) == 1
    (record,) = audit_records(site.store)
    assert (record.action, record.outcome) == ("backed up", "serious failure")
    assert record.objects == (("backup", str(missing)),)


def test_a_backup_leaves_the_schema_of_an_earlier_version_as_it_is(site: BackedUpSite) -> None:
    with site.store._database.writing() as connection:
        connection.execute(text("DROP TABLE audit_records"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0029'"))
    assert run(site, "backup", site.backups.folder) == 0
    with site.store._database.reading() as connection:
        assert not inspect(connection).has_table("audit_records")


def test_only_the_owner_can_read_backups_and_what_is_restored(
    site: BackedUpSite, tmp_path: Path
) -> None:
    earlier_umask = os.umask(0o022)
    try:
        run(site, "backup", site.backups.folder)
        run(site, "restore", site.backups.folder, "--into", tmp_path / "restored")
    finally:
        os.umask(earlier_umask)
    (backup,) = site.backups.backups()
    for folder in (backup.folder, tmp_path / "restored"):
        modes = {path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}
        assert modes == {0o700, 0o600}


def test_old_backups_are_deleted_on_request(
    site: BackedUpSite, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        run(site, "backup", site.backups.folder)
    oldest, second, newest = site.backups.backups()
    capsys.readouterr()
    assert run(site, "backup", site.backups.folder, "--keep", "2") == 0
    assert site.backups.backups()[0] == newest
    output = capsys.readouterr().out
    assert f"{oldest.folder.name} deleted: 2 newer backups are kept." in output
    assert f"{second.folder.name} deleted" in output


def test_a_file_that_the_node_has_lost_gives_status_3(
    site: BackedUpSite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(site, "backup", site.backups.folder)
    lost = site.receive(3)
    lost.unlink()
    name = lost.relative_to(site.data_dir)
    assert run(site, "backup", site.backups.folder, "--keep", "1") == 3
    assert f"missing: {name}" in capsys.readouterr().out
    assert len(site.backups.backups()) == 2  # an older backup may hold what is lost
    assert run(site, "restore", site.backups.folder, "--into", tmp_path / "restored") == 3
    assert f"missing: {name}" in capsys.readouterr().out


def test_a_damaged_backup_is_refused_with_the_name_of_the_file(
    site: BackedUpSite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(site, "backup", site.backups.folder)
    flip_a_bit(site.backups.backups()[0].files / DAMAGED)
    assert run(site, "restore", site.backups.folder, "--check") == 1
    assert f"damaged: {DAMAGED}" in capsys.readouterr().out
    into = ("restore", site.backups.folder, "--into", tmp_path / "restored")
    assert run(site, *into) == 1
    assert f"damaged: {DAMAGED}" in capsys.readouterr().err
    count = site.backups.backups()[0].manifest().file_count
    assert run(site, *into, "--leave-out-damaged") == 3
    said = capsys.readouterr().out
    assert f"damaged: {DAMAGED}" in said
    assert f": {count - 1} of {count} images and results, database" in said


def test_the_data_folder_of_a_running_site_is_not_overwritten(
    site: BackedUpSite, capsys: pytest.CaptureFixture[str]
) -> None:
    run(site, "backup", site.backups.folder)
    assert run(site, "restore", site.backups.folder) == 1
    assert f"{site.data_dir} is not empty" in capsys.readouterr().err
    assert site.store.count_instances() == 2


def test_another_folder_is_for_sqlite_only(
    site: BackedUpSite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(site, "backup", site.backups.folder)
    (tmp_path / "site.toml").write_text(
        'data_dir = "data"\ndatabase_url = "postgresql:///segnode"\n', encoding="utf-8"
    )
    assert run(site, "restore", site.backups.folder, "--into", tmp_path / "restored") == 2
    assert "--into restores an SQLite database" in capsys.readouterr().err
