"""Fixtures with one store on each supported database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store import Store
from tests.support.factories import sqlite_url
from tests.support.servers.postgresql_server import PostgresqlServer


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for all contract tests."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a SQLite and of a PostgreSQL database without rows.

    They are empty for a test that uses the fixture `each_database_migrates`.
    """
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, PostgresqlServer)
    if "each_database_migrates" in request.fixturenames:
        return server.new_database()
    return server.new_migrated_database()


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store on that database."""
    opened = Store.open(database_url, tmp_path)
    yield opened
    opened.close()
