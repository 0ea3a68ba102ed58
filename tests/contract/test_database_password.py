"""The password of PostgreSQL comes from a file, also for the workflow engine and backups."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.errors import Transient
from node.domain.job import JobState
from node.maintenance.backup import postgresql_copy
from node.maintenance.backup.site import Site
from node.settings import load_settings
from node.settings.credentials.secret_source import SecretSource
from node.store import Store
from node.store.files import DataFolder
from node.store.opening import opened_store
from tests.support.processes.worker_parts import WorkerParts
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.unit.settings.site import VALID, write

USER, PASSWORD = "protected", "first-password"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file with the password that is for its owner alone."""
    file = tmp_path / "database-password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD)
    return file


@pytest.fixture
def database_url(postgresql: PostgresqlServer) -> str:
    """The URL of a database that asks for the password."""
    return postgresql.new_protected_database(USER, PASSWORD)


@pytest.fixture
def site(tmp_path: Path, database_url: str, password_file: Path) -> Site:
    """A site whose settings name the file."""
    text = f'database_url = "{database_url}"\ndatabase_password_file = "{password_file}"\n{VALID}'
    return Site(load_settings(write(tmp_path, text)), DataFolder(tmp_path / "data"))


@pytest.fixture
def store(site: Site) -> Iterator[Store]:
    """The store of the site."""
    opened = opened_store(site.settings)
    yield opened
    opened.close()


def test_without_the_password_the_database_refuses_the_node(
    tmp_path: Path, database_url: str
) -> None:
    with pytest.raises(Transient, match="password"):
        Store.open(database_url, tmp_path)


def test_a_new_password_is_used_without_a_restart(
    store: Store, postgresql: PostgresqlServer, password_file: Path
) -> None:
    store.check_writable()
    postgresql.set_password(USER, "second-password")
    with pytest.raises(Transient, match="password authentication failed") as caught:
        store.check_writable()
    assert PASSWORD not in str(caught.value)
    password_file.write_text("second-password\n")
    store.check_writable()


def test_a_file_that_is_missing_for_a_moment_is_a_temporary_error(
    store: Store, postgresql: PostgresqlServer, password_file: Path
) -> None:
    postgresql.set_password(USER, PASSWORD)  # ends the connections
    password_file.rename(password_file.with_suffix(".old"))
    with pytest.raises(Transient, match="database_password_file: there is no file"):
        store.check_writable()
    password_file.with_suffix(".old").rename(password_file)
    store.check_writable()


def test_the_workflow_engine_uses_the_password(
    tmp_path: Path, database_url: str, password_file: Path
) -> None:
    password = SecretSource("database_password_file", file=str(password_file))
    worker = WorkerParts(tmp_path, database_url=database_url, database_password=password)
    worker.start()
    worker.receive()
    worker.poll()
    job = worker.ended_job()
    worker.stop()
    assert job.state is JobState.DELIVERED


def test_a_backup_uses_the_password(site: Site, store: Store, tmp_path: Path) -> None:
    store.check_writable()
    (tmp_path / "database").mkdir()
    postgresql_copy.copy_database(site, tmp_path, lambda _files: None)
    assert (tmp_path / postgresql_copy.DUMP_FILE).stat().st_size
