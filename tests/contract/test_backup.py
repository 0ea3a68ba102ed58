"""Backups of sites with PostgreSQL, and with a bucket."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import psycopg
import pytest
from sqlalchemy import delete, select

from node.domain.errors import Transient
from node.maintenance.backup import postgresql_copy
from node.maintenance.backup.backup_folder import Backup
from node.maintenance.backup.manifest import BackupRefused
from node.maintenance.backup.site import Site
from node.maintenance.verify import Verification
from node.settings import Settings
from node.store.files import DataFolder, Files
from node.store.files.s3 import Bucket
from node.store.named_files import named_files
from node.store.schema import INSTANCES, SERIES
from tests.support.backed_up_site import BackedUpSite, InterceptedFiles, opened, restore
from tests.support.factories import NOON
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.servers.s3_server import S3Server

WAIT_S = 60.0


@pytest.fixture
def database_url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_migrated_database()


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[BackedUpSite]:
    """A site on PostgreSQL with two images and a result."""
    with site_on(tmp_path / "site", database_url) as made:
        yield made


@contextmanager
def site_on(folder: Path, database_url: str, files: Files | None = None) -> Iterator[BackedUpSite]:
    made = BackedUpSite(folder, database_url, files)
    try:
        made.receive(1)
        made.receive(2)
        made.add_result("1.2.3", b"a result")
        yield made
    finally:
        made.store.close()


def target_on(folder: Path, database_url: str, files: Files | None = None) -> Site:
    """An empty site."""
    settings = Settings(data_dir=folder, database_url=database_url)
    return Site(settings, DataFolder(folder) if files is None else files)


def check_restored(target: Site) -> None:
    with opened(target) as store:
        assert list(Verification(store, lambda: NOON.timestamp() + 1e9).findings()) == []
        assert len(store.instances_of("1.2.3")) == 2
        (job,) = store.jobs_of("1.2.3")
        (seg,) = store.objects_of(job)
        with store.files.local_copies(seg.paths) as (file,):
            assert file.read_bytes() == b"a result"


def test_a_site_on_postgresql_is_restored_into_an_empty_database(
    site: BackedUpSite, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    with psycopg.connect(site.settings.database_url) as connection:  # as DBOS does
        connection.execute("CREATE SCHEMA dbos")
        connection.execute("CREATE TABLE dbos.workflow_status AS SELECT 'PENDING' AS status")
    backup = site.back_up()
    assert backup.manifest().digests.keys() == {"database/segnode.pgdump", "files.sqlite"}
    target = target_on(tmp_path / "restored", postgresql.new_database())
    assert restore(backup, target) == {}
    check_restored(target)
    with psycopg.connect(target.settings.database_url) as connection:
        restored = connection.execute("SELECT status FROM dbos.workflow_status").fetchall()
    assert restored == [("PENDING",)]


def test_a_series_deleted_during_the_backup_of_postgresql_is_in_neither_copy(
    site: BackedUpSite, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    site.receive(1, series="1.2.4")
    site.decide("1.2.4", 1)
    dumps: list[str] = []
    dump = postgresql_copy.copy_database

    with pytest.MonkeyPatch.context() as patch:

        def dump_and_clear(*arguments: object) -> str:
            revision = dump(*arguments)  # type: ignore[arg-type] # passed on unchanged
            dumps.append(revision)
            assert site.store.clear_series("1.2.4", NOON)
            return revision

        patch.setattr(postgresql_copy, "copy_database", dump_and_clear)
        backup = site.back_up()
    assert len(dumps) == 2  # the first one names the image that is gone
    assert backup.manifest().lost == {}
    target = target_on(tmp_path / "restored", postgresql.new_database())
    restore(backup, target)
    check_restored(target)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_file_whose_row_is_being_deleted_is_not_lost(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    url = request.getfixturevalue("database_url") if kind == "postgresql" else ""
    deleted, is_waiting = Event(), Event()
    wait_for_transactions = Site.wait_for_transactions

    def wait(site: Site) -> None:
        is_waiting.set()
        wait_for_transactions(site)

    def delete_slowly() -> None:
        database = site.site.database
        series = select(SERIES).where(SERIES.c.series_instance_uid == "1.2.3")
        with closing(database), database.writing() as connection:
            connection.execute(series.with_for_update()).all()
            image.unlink()
            deleted.set()
            assert is_waiting.wait(WAIT_S)
            connection.execute(delete(INSTANCES).where(INSTANCES.c.sop_instance_uid == "1.2.3.3"))

    def start_to_delete() -> None:
        if not deleted.is_set():
            deletions.append(threads.submit(delete_slowly))
            assert deleted.wait(WAIT_S)

    monkeypatch.setattr(Site, "wait_for_transactions", wait)
    deletions: list[Future[None]] = []
    with ThreadPoolExecutor(1) as threads, site_on(tmp_path / "site", url) as site:
        image = site.receive(3)
        assert isinstance(site.stored_in, InterceptedFiles)
        site.stored_in.before_copies = start_to_delete
        backup = site.back_up()
        deletions[0].result()
    assert backup.manifest().lost == {}
    assert not (backup.files / "instances/1.2.3/1.2.3.3.dcm").exists()


def test_a_database_that_is_not_empty_is_refused(
    site: BackedUpSite, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    backup = site.back_up()
    target = target_on(tmp_path / "restored", postgresql.new_migrated_database())
    with pytest.raises(BackupRefused, match="is not empty: create an empty one"):
        restore(backup, target)
    assert not (tmp_path / "restored").exists()


def test_a_restore_that_was_killed_after_the_database_was_restored_ends(
    site: BackedUpSite, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    backup = site.back_up()
    target = target_on(tmp_path / "restored", postgresql.new_database())

    class KilledError(Exception):
        pass

    def restore_and_die(folder: Path, site: Site) -> None:
        restored(folder, site)
        raise KilledError

    restored = postgresql_copy.restore_database
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(postgresql_copy, "restore_database", restore_and_die)
        restore(backup, target)
    assert restore(backup, target) == {}
    check_restored(target)


def test_a_damaged_dump_is_refused(
    site: BackedUpSite, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    backup = site.back_up()
    dump = backup.database / "segnode.pgdump"
    dump.write_bytes(dump.read_bytes()[:-10])
    with pytest.raises(BackupRefused, match=r"segnode\.pgdump is damaged"):
        restore(backup, target_on(tmp_path / "restored", postgresql.new_database()))


def test_without_pg_dump_the_message_says_what_to_install(
    site: BackedUpSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupRefused, match="apt-get install postgresql-client"):
        site.back_up()


def test_a_failure_of_pg_dump_is_reported_without_the_password(
    site: BackedUpSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "$* and $PGPASSWORD" > "$0.log"\necho broken >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    url = site.settings.database_url.replace("segnode@", "segnode:geheim@")
    site.settings = site.settings.model_copy(update={"database_url": url})
    with pytest.raises(Transient, match="pg_dump failed: broken"):
        site.back_up()
    arguments, _, password = (tmp_path / "pg_dump.log").read_text().partition(" and ")
    assert "geheim" not in arguments
    assert password == "geheim\n"


@pytest.fixture
def bucket_backup(
    s3: S3Server, database_url: str, tmp_path: Path
) -> Iterator[tuple[BackedUpSite, Backup]]:
    """A site on PostgreSQL and a bucket, and its backup."""
    folder = tmp_path / "site"
    with site_on(folder, database_url, new_bucket(s3, folder / "data")) as made:
        yield made, made.back_up()


def new_bucket(s3: S3Server, data_dir: Path) -> Bucket:
    return Bucket.connect(f"s3://{s3.new_bucket()}/site-a", s3.endpoint, data_dir)


def test_a_bucket_is_restored_into_an_empty_bucket(
    bucket_backup: tuple[BackedUpSite, Backup],
    s3: S3Server,
    postgresql: PostgresqlServer,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "restored"
    target = target_on(folder, postgresql.new_database(), new_bucket(s3, folder))
    assert restore(bucket_backup[1], target) == {}
    check_restored(target)


def test_a_bucket_that_holds_images_is_refused(
    bucket_backup: tuple[BackedUpSite, Backup], postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    site, backup = bucket_backup
    target = target_on(tmp_path / "site" / "data", postgresql.new_database(), site.stored_in)
    for path in (tmp_path / "site" / "data").iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(BackupRefused, match="the storage of the site is not empty"):
        restore(backup, target)


def test_a_second_backup_of_a_bucket_links_what_did_not_change(
    bucket_backup: tuple[BackedUpSite, Backup],
) -> None:
    site, first = bucket_backup
    site.receive(3)
    second = site.back_up()
    new, old = (
        {path.name: path.stat().st_ino for path in backup.files.rglob("*") if path.is_file()}
        for backup in (second, first)
    )
    assert old.items() <= new.items()
    assert new.keys() - old.keys() == {"1.2.3.3.dcm"}


def test_the_names_of_files_come_from_the_moment_of_the_dump(site: BackedUpSite) -> None:
    with closing(site.site.database) as database, database.exporting() as (connection, _snapshot):
        site.receive(3)
        names = [file.path for file in named_files(connection)]
    assert len(names) == 4  # two images, and one result that two tables name
