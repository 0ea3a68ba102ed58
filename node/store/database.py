"""Database access: one engine with short transactions, SQLite or PostgreSQL by URL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    PoolProxiedConnection,
    Table,
    create_engine,
    event,
    text,
)
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
from node.settings.credentials.secret_source import SecretSource

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

# A writer waits this long for another process's transaction. Our transactions take milliseconds. A
# longer wait means that something is wrong, and the sender must get an answer before it times out.
_BUSY_TIMEOUT_MS = 10_000
# For the check whether the database can be written, which must return soon. Where eight processes
# write without a pause, a writer can wait a second for its turn.
_SHORT_BUSY_TIMEOUT_MS = 2_000
# One connection serves one short transaction. Threads beyond the limit wait for a free one.
_POOL_SIZE = 5
_POOL_OVERFLOW = 45
NO_PASSWORD = SecretSource("database_password_file")
_WRITES_OPTION = "segnode_writes"
_BUSY_TIMEOUT_OPTION = "segnode_waits_ms"
# SQLite's error codes for a disk that is full, read-only or broken.
_DISK_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_PRIMARY_CODE_MASK = 0xFF  # applied to an extended result code of SQLite
_READ_ONLY_SQL_TRANSACTION = "25006"  # PostgreSQL's SQLSTATE for a write that is not allowed


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite has no time zones and stores it as naive UTC."""

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


@dataclass(frozen=True)
class PasswordForConnections:
    """Gives each connection to PostgreSQL the password (listener of the event `do_connect`)."""

    password: SecretSource

    def __call__(
        self,
        dialect: Dialect,
        _record: ConnectionPoolEntry,
        _arguments: list[Any],
        parameters: dict[str, Any],
    ) -> None:
        """Adds the password as it is now.

        Raises:
            Transient: there is none at present.
        """
        if self.password.is_named and dialect.name == "postgresql":
            parameters["password"] = self.password.current()


class Database:
    """One engine with read transactions and write transactions.

    A database that does not answer (locked, full, read-only, gone) raises Transient. `password` is
    read for each connection; without one, it is in the URL, or libpq finds it.
    """

    def __init__(self, url: URL, password: SecretSource = NO_PASSWORD) -> None:
        self.url = url
        self.password = password
        self._engine = _engine(url)
        event.listen(self._engine, "do_connect", PasswordForConnections(password))
        self._writer = self._engine.execution_options(**{_WRITES_OPTION: True})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a read transaction: a consistent view of the database."""
        with database_errors_as_transient(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def exporting(self) -> Iterator[tuple[Connection, str]]:
        """Opens a read transaction of PostgreSQL and exports its view of the database.

        Yields the connection, and the name under which other connections can share the view.
        """
        isolation = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with self.reading() as connection:
            connection.execute(isolation)
            yield connection, connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Opens a write transaction: durable after the block, rolled back by an exception."""
        with database_errors_as_transient(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def writing_soon(self) -> Iterator[Connection]:
        """Opens a write transaction as `writing`, but waits two seconds for other writers."""
        writer = self._writer.execution_options(**{_BUSY_TIMEOUT_OPTION: _SHORT_BUSY_TIMEOUT_MS})
        with database_errors_as_transient(), writer.begin() as connection:
            yield connection

    def check_writable(self) -> None:
        """Checks that the database can be written now; waits two seconds for other writers.

        Raises:
            Transient: the database is locked, full or read-only, or does not answer.
        """
        with self.writing_soon() as connection:
            if self.is_sqlite:
                # Nothing reads this number. An empty transaction would succeed on a full disk.
                connection.execute(text("PRAGMA user_version = 0"))
            elif connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on":
                # A pooled connection can stay read-only after its server has left that state.
                self._engine.dispose()
                raise Transient("the database cannot be written: its server is read-only")

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Returns an insert into `table` that supports ON CONFLICT."""
        if self.is_sqlite:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database (SQLite)."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """The file of the embedded database; None for PostgreSQL."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    def connect_apart(self) -> PoolProxiedConnection:
        """Opens a connection that belongs to no pool; the caller closes it."""
        connection = self._engine.raw_connection()
        connection.detach()
        return connection

    def enable_wal(self) -> None:
        """Switches the embedded database to write-ahead logging: readers never wait for writers."""
        with database_errors_as_transient(), closing(self._engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode=WAL").close()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()


def parse_url(database_url: str) -> URL:
    """Parses the URL of a supported database: `sqlite:///file` or `postgresql://...`.

    Raises:
        Misconfigured: the URL is neither.
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


def disconnect_if_unwritable(failure: ExceptionContext) -> None:
    """Treats a connection that cannot write as broken (listener of the event `handle_error`).

    A connection that was opened while the database was read-only stays read-only. DBOS
    waits for the database after a lost connection, but gives up the workflow on other errors.
    """
    if not _cannot_write(failure.original_exception):
        return
    if failure.connection is not None:
        # A connection dropped in a transaction keeps its locks while the error is referenced.
        with suppress(sqlite3.Error):
            failure.connection.connection.rollback()
    failure.is_disconnect = True


# The driver raises its own error where SQLAlchemy only passes on its connection.
_NO_ANSWER = (OperationalError, InterfaceError, PoolTimeoutError, sqlite3.OperationalError)


def _cannot_write(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        # The driver's own errors, such as a closed connection, have no code.
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
        return code & _PRIMARY_CODE_MASK in _DISK_ERRORS
    return getattr(error, "sqlstate", None) == _READ_ONLY_SQL_TRANSACTION


@contextmanager
def database_errors_as_transient() -> Iterator[None]:
    """Raises Transient for database errors in the block that may pass."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, sqlite3.OperationalError) as error:
        cause = getattr(error, "orig", None) or error
        if _cannot_write(cause):
            raise Transient(f"the database cannot be written: {cause}") from error
        if isinstance(error, _NO_ANSWER):
            raise Transient(f"the database does not answer: {cause}") from error
        raise


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_OVERFLOW,
            pool_pre_ping=url.get_backend_name() != "sqlite",
            hide_parameters=True,  # errors reach logs, and rows can name patients
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise Misconfigured(f"its driver is missing: {error}", key="database_url") from error
    event.listen(engine, "handle_error", disconnect_if_unwritable)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite_connection(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transaction control begins too late (before the first write, after reads), so
    # that two writers can deadlock. `_begin_sqlite` begins the transaction instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    timeout_ms = options.get(_BUSY_TIMEOUT_OPTION, _BUSY_TIMEOUT_MS)
    if connection.info.get(_BUSY_TIMEOUT_OPTION) != timeout_ms:  # it stays with the connection
        connection.exec_driver_sql(f"PRAGMA busy_timeout={timeout_ms}")
        connection.info[_BUSY_TIMEOUT_OPTION] = timeout_ms
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES_OPTION) else "BEGIN")
