"""Upgrades from every earlier schema keep each row, and the store reads them."""

import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from node.domain.delivery import DeliveryState
from node.domain.job import JobState
from node.store import Store, migrate
from node.store.database import Database, parse_url
from tests.support.schema_rows import (
    DELIVERED_JOB,
    SERIES,
    WAITING_JOB,
    add_rows,
    columns_of,
    read_rows,
)
from tests.support.servers.postgresql_server import PostgresqlServer

pytestmark = pytest.mark.usefixtures("each_database_migrates")
# A new server database for each schema takes longer: the first, the last, and those in which
# defaults and converted types matter.
ON_POSTGRESQL = ("0001", "0003", "0008", "0015", migrate.LATEST_REVISION)


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    return config


REVISIONS = sorted(
    script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
)


def migrate_to(connection: Connection, revision: str) -> None:
    """Migrates to that revision, as the version of segnode that had it."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an SQLite database of each schema, without rows."""
    folder = tmp_path_factory.mktemp("schemas")
    growing = Database(parse_url(f"sqlite:///{folder / 'growing.sqlite'}"))
    for revision in REVISIONS:
        with growing.writing() as connection:
            migrate_to(connection, revision)
        shutil.copyfile(folder / "growing.sqlite", folder / f"{revision}.sqlite")
    growing.close()
    return folder


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_upgrade_from_each_schema_keeps_every_row(
    databases: Path, tmp_path: Path, revision: str
) -> None:
    file = shutil.copyfile(databases / f"{revision}.sqlite", tmp_path / "segnode.sqlite")
    upgrade_and_read(f"sqlite:///{file}", tmp_path)


@pytest.mark.parametrize("revision", ON_POSTGRESQL)
def test_an_upgrade_on_postgresql_keeps_every_row(
    postgresql: PostgresqlServer, tmp_path: Path, revision: str
) -> None:
    url = postgresql.new_database()
    database = Database(parse_url(url))
    with database.writing() as connection:
        migrate_to(connection, revision)
    database.close()
    upgrade_and_read(url, tmp_path)


def upgrade_and_read(url: str, data_dir: Path) -> None:
    """Fills the database of an earlier schema, opens it with this version, and reads it."""
    engine = create_engine(parse_url(url))
    try:
        before = add_rows(engine)
        if "site" in before:
            (site,) = before["site"]
            (data_dir / "site").write_text(site["name"], encoding="ascii")
        store = Store.open(url, data_dir)
        after = read_rows(engine, columns_of(before))
    finally:
        engine.dispose()
    try:
        assert after == before
        read_all(store)
        for table, found in later_reads(store).items():
            assert len(found) == len(before.get(table, [])), table
    finally:
        store.close()


def read_all(store: Store) -> None:
    """Reads what the rows hold through the store."""
    series = store.get_series(SERIES)
    assert series is not None
    assert series.instance_count == 2
    paths = [instance.path for instance in store.instances_of(SERIES)]
    assert paths == [store.data_dir / f"instances/{SERIES}/{SERIES}.{n}.dcm" for n in (1, 2)]
    delivered, waiting = store.jobs_of(SERIES)
    assert (delivered.job_id, delivered.state) == (DELIVERED_JOB, JobState.DELIVERED)
    assert (waiting.job_id, waiting.state) == (WAITING_JOB, JobState.DELIVERING)
    assert [each.state for each in store.deliveries_of(WAITING_JOB)] == [DeliveryState.WAITING]
    (seg,) = store.objects_of(delivered)
    assert seg.paths == (store.data_dir / f"results/{DELIVERED_JOB}/seg.dcm",)
    assert set(store.destination_health()) == {"pacs"}
    assert len(store.history_of("1.2")) == len(store.list_retrievals()) == 1


def later_reads(store: Store) -> dict[str, list[object]]:
    """Reads, by table, what an early schema does not have: there it is empty."""
    return {
        "workers": [*store.workers()],
        "work_items": [*store.list_work_items()],
        "alerts": [*store.open_alerts()],
        "configuration_revisions": [*store.list_revisions(10)],
        "shadow_runs": [*store.shadow_runs()],
        "feedback": [*store.feedback()],
        "stage_durations": [*store.stage_durations()],
    }
