"""A database that cannot be written raises Transient and recovers by itself."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from node.domain.errors import Transient
from node.store import Store, database
from node.store.database import parse_url
from tests.support.factories import NOON
from tests.support.waiting import until


@contextmanager
def unwritable(database_url: str) -> Iterator[None]:
    """Makes PostgreSQL read-only, like a standby; locks the embedded database."""
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        locker = sqlite3.connect(url.database, isolation_level=None)
        locker.execute("BEGIN EXCLUSIVE")
        yield
        locker.execute("ROLLBACK")
        locker.close()
        return
    server = url.set(drivername="postgresql", database="postgres").render_as_string()
    with psycopg.connect(server, autocommit=True) as connection:
        change = f"ALTER DATABASE {url.database} SET default_transaction_read_only = "
        connection.execute(f"{change} on".encode())
        # The setting applies to new connections only.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [url.database],
        )
        yield
        connection.execute(f"{change} off".encode())


def fails(store: Store, work: Callable[[Store], None]) -> bool:
    """Whether the operation raises Transient because the database cannot be written."""
    try:
        work(store)
    except Transient as error:
        assert "database is locked" in str(error) or "cannot be written" in str(error)
        return True
    return False


def audit(store: Store) -> None:
    """Writes an audit event."""
    store.add_event(NOON, "a job", "tried")


@pytest.mark.parametrize("work", [Store.check_writable, audit])
def test_an_unwritable_database_raises_transient_until_it_recovers(
    store: Store,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Store], None],
) -> None:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 50)
    assert not fails(store, work)
    with unwritable(database_url):
        assert fails(store, work)
        assert store.list_jobs() == []
        assert fails(store, work)
    # The pool may still hold a connection from before.
    until(lambda: not fails(store, work), 5, "connections that can write")
