"""Whether the database has changed, asked without reading tables.

PostgreSQL notifies (LISTEN and NOTIFY); SQLite counts the commits of other connections.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from node.domain.errors import Transient
from node.store.database import Database, database_errors_as_transient

if TYPE_CHECKING:
    import psycopg

# Triggers of the database notify it; see the migration 0035.
_CHANNEL = "segnode_work"
_WAIT_SECONDS = 1.0
# A connection whose other end is gone shows at the next statement at the latest.
_CHECK_SECONDS = 30.0
_RECONNECT_SECONDS = 5.0
# Transactions that follow each other make no more work than one.
_GATHER_SECONDS = 0.05


class DatabaseChanges:
    """The changes of one database since a caller asked last.

    Without a connection that hears of them, each answer says that there may be one: callers then
    poll.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._counter = count(1)
        self._version = 0
        self._is_listening = False
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None
        self._thread: threading.Thread | None = None

    def version(self) -> int:
        """Returns a number that differs from the last one if there may be a change since then."""
        if self._database.is_sqlite:
            return self._version_of_sqlite()
        return self._version if self._is_listening else self._next()

    def listen(self, on_change: Callable[[], None]) -> None:
        """Calls `on_change` on a thread of its own soon after each change; on PostgreSQL only."""
        if not self._database.is_sqlite:
            self._thread = threading.Thread(
                target=self._listen, args=(on_change,), name="database changes", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Closes the connection; the thread ends within about a second."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _next(self) -> int:
        self._version = next(self._counter)
        return self._version

    def _version_of_sqlite(self) -> int:
        with self._lock:
            try:
                with database_errors_as_transient():
                    return self._data_version()
            except Transient:
                self._connection = None
                return -self._next()

    def _data_version(self) -> int:
        if self._connection is None:
            self._connection = self._database.connect_apart()
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        ((version,),) = cursor.fetchall()
        return int(version)

    def _listen(self, on_change: Callable[[], None]) -> None:
        # Here: a node on SQLite starts without the former, and the command line without the latter.
        import psycopg
        import structlog

        log = structlog.get_logger()

        while not self._stop.is_set():
            try:
                with self._listening() as connection:
                    self._is_listening = True
                    self._report(on_change)  # what has changed before
                    self._receive(connection, on_change)
            except (DBAPIError, Transient, psycopg.Error) as error:
                if self._is_listening:
                    log.warning("database.polled", error=str(error))
            self._is_listening = False
            self._stop.wait(_RECONNECT_SECONDS)

    @contextmanager
    def _listening(self) -> "Iterator[psycopg.Connection]":
        connection = self._database.connect_apart()
        try:
            driver: psycopg.Connection = connection.dbapi_connection  # type: ignore[assignment]
            driver.autocommit = True
            driver.execute(f"LISTEN {_CHANNEL}")
            yield driver
        finally:
            connection.close()

    def _receive(self, connection: "psycopg.Connection", on_change: Callable[[], None]) -> None:
        """Reports changes until the connection breaks or `close` is called."""
        checked_at = time.monotonic()
        while not self._stop.is_set():
            if list(connection.notifies(timeout=_WAIT_SECONDS, stop_after=1)):
                self._stop.wait(_GATHER_SECONDS)
                list(connection.notifies(timeout=0))
                self._report(on_change)
            elif time.monotonic() - checked_at > _CHECK_SECONDS:
                connection.execute("SELECT 1")
                checked_at = time.monotonic()

    def _report(self, on_change: Callable[[], None]) -> None:
        self._next()
        on_change()
