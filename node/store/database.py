"""The database connection: one engine, short transactions, SQLite or PostgreSQL by URL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import DateTime, Dialect, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeoutError,
)
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from node.domain.errors import Misconfigured, Transient

# A writer waits this long for another process's transaction; ours take milliseconds, so a longer
# wait means that something is wrong, and the sender had better be told before it loses patience.
_BUSY_TIMEOUT_MS = 10_000
# Who only asks whether something can be written wants to know soon. But where eight processes write
# without a pause, its turn can take a second to come.
_SHORT_BUSY_TIMEOUT_MS = 2_000
# One connection serves one short transaction; more threads than this wait for a free one.
_POOL_SIZE = 5
_POOL_OVERFLOW = 45
_WRITES = "segnode_writes"
_WAITS_MS = "segnode_waits_ms"
# What a disk that is full, read-only or broken makes of a statement to SQLite.
_DISK_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_PRIMARY_CODE = 0xFF  # of an extended result code of SQLite
_READ_ONLY = "25006"  # PostgreSQL's code for a statement that would write and may not


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which knows no time zones, stores it as naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the store takes aware datetimes only, got {value!r}")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """One engine with transactions that read and transactions that write.

    A database that does not answer (locked, full, read-only, gone) raises Transient.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine = _engine(url)
        self._writer = self._engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the database."""
        with told_as_transient(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable once the block is left; an exception rolls it back."""
        with told_as_transient(), self._writer.begin() as connection:
            yield connection

    def check_writable(self) -> None:
        """See that something can be written now; others that write are waited for two seconds.

        Raises:
            Transient: the database is locked, full or read-only, or does not answer.
        """
        writer = self._writer.execution_options(**{_WAITS_MS: _SHORT_BUSY_TIMEOUT_MS})
        with told_as_transient(), writer.begin() as connection:
            if self.is_sqlite:
                # Nobody reads this number; an empty transaction would succeed on a full disk.
                connection.execute(text("PRAGMA user_version = 0"))
            elif connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on":
                self._engine.dispose()  # connections can stay so when the server is not any more
                raise Transient("the database cannot be written: its server is read-only")

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert into `table` that can say what to do on conflict."""
        if self.is_sqlite:
            return sqlite.insert(table)
        return postgresql.insert(table)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """The embedded database's file."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    def use_wal(self) -> None:
        """Has the embedded database write ahead, once for all: readers never wait for a writer."""
        with told_as_transient(), closing(self._engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode=WAL").close()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()


def parse_url(database_url: str) -> URL:
    """The URL of a database we can use: `sqlite:///file` or `postgresql://...`.

    Raises:
        Misconfigured: it is neither.
    """
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        raise Misconfigured("is not a database URL", key="database_url") from error
    match url.get_backend_name():
        case "sqlite" if url.database not in (None, "", ":memory:"):
            return url.set(drivername="sqlite+pysqlite")
        case "sqlite":
            raise Misconfigured("names no file; use sqlite:////path/file", key="database_url")
        case "postgresql":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise Misconfigured(
                f"{other!r} is not supported; use sqlite or postgresql", key="database_url"
            )


def count_as_lost(failure: ExceptionContext) -> None:
    """Have a connection replaced that cannot write, as one that broke (event `handle_error`).

    One that was made while the database was read-only stays so. And the engine of the workflows
    waits for a database where a connection is lost, but gives the workflow up on other errors.
    """
    if not _cannot_write(failure.original_exception):
        return
    if failure.connection is not None:
        # What is dropped amid a transaction keeps its locks as long as somebody holds the error.
        with suppress(sqlite3.Error):
            failure.connection.connection.rollback()
    failure.is_disconnect = True


def _cannot_write(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        # Errors of the driver's own, such as a connection that is closed, have no code.
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
        return code & _PRIMARY_CODE in _DISK_ERRORS
    return getattr(error, "sqlstate", None) == _READ_ONLY


@contextmanager
def told_as_transient() -> Iterator[None]:
    """Raises Transient within the block where a database fails that may be well later."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        if _cannot_write(cause):
            raise Transient(f"the database cannot be written: {cause}") from error
        if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError)):
            raise Transient(f"the database does not answer: {cause}") from error
        raise


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_OVERFLOW,
            pool_pre_ping=url.get_backend_name() != "sqlite",
            hide_parameters=True,  # its errors reach logs, and rows can name patients
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise Misconfigured(f"its driver is missing: {error}", key="database_url") from error
    event.listen(engine, "handle_error", count_as_lost)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite_connection(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transaction control begins too late (before the first write, after reads),
    # which is how two writers deadlock; `_begin_sqlite` begins instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA busy_timeout={options.get(_WAITS_MS, _BUSY_TIMEOUT_MS)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES) else "BEGIN")
