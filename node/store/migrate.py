"""Migrates a database to the schema of this version, one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from node.store.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
# The newest revision in that folder. Change it with each new migration.
LATEST_REVISION = "0020"
# Key of our advisory lock in PostgreSQL: an arbitrary number, the same in every version.
_POSTGRESQL_LOCK = 0x5E6_0DE


def run_migrations(database: Database) -> None:
    """Runs the pending migrations in one transaction.

    A database that a newer segnode has already migrated stays unchanged: migrations only add.
    """
    with _process_lock(database), database.writing() as connection:
        acquire_site_lock(connection, database)
        current = _current_revision(connection)
        if current != LATEST_REVISION:
            _upgrade(connection, current)


def _current_revision(connection: Connection) -> str | None:
    """Returns the revision of the schema; None for a new database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    query = text("SELECT version_num FROM alembic_version")
    return connection.execute(query).scalar_one_or_none()


def _upgrade(connection: Connection, current: str | None) -> None:
    # Imported here: most commands find the latest schema, and would start 0.2 s later.
    import structlog
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        structlog.get_logger().warning("store.newer_schema", revision=current)
        return
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _process_lock(database: Database) -> Iterator[None]:
    """Holds a lock file beside the embedded database, also while the database switches to WAL.

    The switch needs a database lock for which SQLite does not wait.
    """
    file = database.file
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(file.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        database.enable_wal()
        yield


def acquire_site_lock(connection: Connection, database: Database) -> None:
    """Serialises transactions across hosts; a no-op for the embedded database, which does so."""
    if not database.is_sqlite:  # released when the transaction ends
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
