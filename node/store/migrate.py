"""Migrates a database to the schema of this version, one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from node.store.database import Database
from node.store.schema_upgrades import SchemaUpgrade, record_upgrade, refuse_if_too_new

_MIGRATIONS = Path(__file__).parent / "migrations"
# The newest revision in that folder. Change it with each new migration.
LATEST_REVISION = "0036"
# Versions with this schema or a later one work beside the newest schema, so that a site can upgrade
# host by host and go back; a version with an older schema is refused. Each release sets it to the
# LATEST_REVISION of the release before.
OLDEST_COMPATIBLE_REVISION = "0018"
# Key of our advisory lock in PostgreSQL: an arbitrary number, the same in every version.
_POSTGRESQL_LOCK = 0x5E6_0DE


def run_migrations(database: Database) -> None:
    """Runs the pending migrations in one transaction.

    A database that a newer segnode has already upgraded stays unchanged: migrations only add.

    Raises:
        Misconfigured: this version cannot work with the schema of the newer one.
        Transient: the database does not answer.
    """
    with _process_lock(database), database.writing() as connection:
        acquire_site_lock(connection, database)
        current = usable_revision(connection)
        if current is None or current < LATEST_REVISION:
            _upgrade(connection)


def usable_revision(connection: Connection) -> str | None:
    """Returns the revision of the schema; None for a new database.

    Raises:
        Misconfigured: a newer segnode has upgraded the schema, and this version cannot use it.
    """
    if not inspect(connection).has_table("alembic_version"):
        return None
    query = text("SELECT version_num FROM alembic_version")
    current: str | None = connection.execute(query).scalar_one_or_none()
    # Revisions are numbers of four digits.
    if current is not None and current > LATEST_REVISION:
        refuse_if_too_new(connection, current, LATEST_REVISION)
        import structlog  # here for the same reason as in `_upgrade`

        structlog.get_logger().warning("store.newer_schema", revision=current)
    return current


def _upgrade(connection: Connection) -> None:
    # Imported here: most commands find the latest schema, and would start 0.2 s later.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    upgrade = SchemaUpgrade(LATEST_REVISION, OLDEST_COMPATIBLE_REVISION, version("segnode"))
    record_upgrade(connection, upgrade, datetime.now(UTC))


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
