"""Brings a database to the schema of this version, one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from node.store.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, the same in every segnode: the name of our advisory lock in PostgreSQL.
_POSTGRESQL_LOCK = 0x5E6_0DE


def bring_up_to_date(database: Database) -> None:
    """Runs the migrations that the database has not seen, all in one transaction.

    A database that a newer segnode has migrated already is left as it is: migrations only add.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with _one_process_at_a_time(database), database.writing() as connection:
        wait_for_other_hosts(connection, database)
        current = MigrationContext.configure(connection).get_current_revision()
        scripts = ScriptDirectory.from_config(config)
        if current == scripts.get_current_head():
            return
        if current is not None and current not in {s.revision for s in scripts.walk_revisions()}:
            structlog.get_logger().warning("store.newer_schema", revision=current)
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _one_process_at_a_time(database: Database) -> Iterator[None]:
    """For the embedded database: a lock file beside it, also around the switch to WAL.

    The switch needs a lock that SQLite does not wait for.
    """
    file = database.file
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(file.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        database.use_wal()
        yield


def wait_for_other_hosts(connection: Connection, database: Database) -> None:
    """Let one transaction of all that call this go on at a time; the embedded database does so."""
    if not database.is_sqlite:  # released at the end of the transaction
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
