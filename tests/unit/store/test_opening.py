"""Opening the store: concurrent migration, newer schemas, locked databases and invalid URLs."""

import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from node.domain.errors import Misconfigured, Transient
from node.store import Store, database, migrate
from node.store.schema import METADATA
from node.store.schema_upgrades import SchemaUpgrade, record_upgrade
from tests.support.factories import NOON, received, series_in, sqlite_url

pytestmark = pytest.mark.usefixtures("each_database_migrates")


def open_and_add(folder: Path, number: int) -> int:
    """Opens the store, adds one instance and returns the number of series."""
    store = Store.open(sqlite_url(folder), folder)
    instance = received(sop_instance_uid=f"1.2.3.{number}")
    assert store.add_instance(instance, folder / str(number), 1, NOON)
    count = len(series_in(store))
    store.close()
    return count


def test_several_processes_can_open_a_new_database_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        counts = processes.map(open_and_add, [tmp_path] * 4, range(1, 5))
        assert list(counts) == [1, 1, 1, 1]
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    assert len(store.instances_of("1.2.3")) == 4
    store.close()


def test_only_the_search_index_has_columns_for_patients() -> None:
    columns = {f"{table}.{column.name}" for table in METADATA.sorted_tables for column in table.c}
    assert {name for name in columns if "patient" in name or "birth" in name} == {
        "series_index.patient_id",
        "series_index.patient_name",
        "series_index.patient_search_text",
    }


def test_the_embedded_database_syncs_each_transaction(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    with database.Database(database.parse_url(sqlite_url(tmp_path))).reading() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    store.close()
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def upgrade_to_9999(folder: Path, oldest_revision: str | None) -> None:
    """Makes a database that segnode 9.0 has upgraded; without a revision, it left no record."""
    Store.open(sqlite_url(folder), folder).close()
    opened = database.Database(database.parse_url(sqlite_url(folder)))
    with opened.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        if oldest_revision is not None:
            record_upgrade(connection, SchemaUpgrade("9999", oldest_revision, "9.0"), NOON)
    opened.close()


def test_a_newer_schema_that_allows_this_version_stays_unchanged(tmp_path: Path) -> None:
    upgrade_to_9999(tmp_path, migrate.LATEST_REVISION)
    before = schema_of(tmp_path)
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    assert store.add_instance(received(), tmp_path / "x", 1, NOON)
    store.close()
    assert schema_of(tmp_path) == before


def test_a_newer_schema_is_refused_with_the_version_that_wrote_it(tmp_path: Path) -> None:
    upgrade_to_9999(tmp_path, "9998")
    before = schema_of(tmp_path)
    with pytest.raises(Misconfigured) as refusal:
        Store.open(sqlite_url(tmp_path), tmp_path)
    message = str(refusal.value)
    assert "database_url: the database was upgraded by segnode 9.0 to schema 9999" in message
    assert f"segnode {version('segnode')} with schema {migrate.LATEST_REVISION}" in message
    assert "Install segnode 9.0 again, or restore a backup" in message
    assert schema_of(tmp_path) == before


def test_a_newer_schema_without_a_record_is_refused(tmp_path: Path) -> None:
    upgrade_to_9999(tmp_path, None)
    with pytest.raises(Misconfigured, match="upgraded by a newer segnode"):
        Store.open(sqlite_url(tmp_path), tmp_path)


def test_an_upgrade_is_recorded_with_the_schemas_that_work_beside_it(tmp_path: Path) -> None:
    Store.open(sqlite_url(tmp_path), tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "segnode.sqlite")) as connection:
        recorded = connection.execute(
            "SELECT revision, oldest_revision, segnode_version FROM schema_upgrades"
        ).fetchall()
    latest, oldest = migrate.LATEST_REVISION, migrate.OLDEST_COMPATIBLE_REVISION
    assert recorded == [(latest, oldest, version("segnode"))]
    assert oldest <= latest


def schema_of(folder: Path) -> list[tuple[str, ...]]:
    """The SQL of every table and index, and the revision."""
    with closing(sqlite3.connect(folder / "segnode.sqlite")) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
        return tables + connection.execute("SELECT version_num FROM alembic_version").fetchall()


def test_a_locked_database_raises_transient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 50)
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    blocker = sqlite3.connect(tmp_path / "segnode.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    with pytest.raises(Transient, match="database is locked"):
        store.add_instance(received(), tmp_path / "x", 1, NOON)

    blocker.execute("ROLLBACK")
    blocker.close()
    assert store.add_instance(received(), tmp_path / "x", 1, NOON)
    store.close()


def test_files_are_found_after_the_data_folder_was_moved(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    first = Store.open(sqlite_url(before), before)
    path = before / "instances" / "1.2.3" / "1.2.3.1.dcm"
    assert first.add_instance(received(), path, 10, NOON)
    first.close()
    before.rename(after)

    second = Store.open(sqlite_url(after), after)
    (instance,) = second.instances_of("1.2.3")
    second.close()

    assert instance.path == after / "instances" / "1.2.3" / "1.2.3.1.dcm"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/x", "use sqlite or postgresql"),
        ("sqlite://", "names no file"),
        ("not a url", "not a database URL"),
    ],
)
def test_an_invalid_database_url_is_a_configuration_error(
    tmp_path: Path, url: str, message: str
) -> None:
    with pytest.raises(Misconfigured, match=f"database_url: .*{message}"):
        Store.open(url, tmp_path)


def test_the_latest_revision_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.LATEST_REVISION
