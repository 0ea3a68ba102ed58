"""The database connection: one engine, short transactions, SQLite or PostgreSQL by URL."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import DateTime, Dialect, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
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
# One connection serves one short transaction; more threads than this wait for a free one.
_POOL_SIZE = 5
_POOL_OVERFLOW = 45
_WRITES = "segnode_writes"


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

    A database that does not answer (locked, full, gone) raises Transient.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine = _engine(url)
        self._writer = self._engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the database."""
        with _told_as_transient(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable once the block is left; an exception rolls it back."""
        with _told_as_transient(), self._writer.begin() as connection:
            yield connection

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
        with _told_as_transient(), closing(self._engine.raw_connection()) as connection:
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


@contextmanager
def _told_as_transient() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        raise Transient(f"the database does not answer: {cause}") from error


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
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite_connection(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transaction control begins too late (before the first write, after reads),
    # which is how two writers deadlock; `_begin_sqlite` begins instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
