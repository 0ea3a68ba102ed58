"""Copies of embedded databases, made while the node writes to them."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL

from node.maintenance.backup.manifest import BackupRefused
from node.maintenance.backup.site import Site
from node.store.database import Database
from node.store.files.durable import durable_file
from node.store.migrate import usable_revision
from node.store.named_files import NamedFile, named_files

_CHUNK_BYTES = 1 << 20
DATABASE_FILE = "segnode.sqlite"
ENGINE_FILE = "dbos.sqlite"
# Of the files that belong to a database.
_SUFFIXES = ("", "-wal", "-shm", "-journal")


def copy_databases(site: Site, folder: Path, record: Callable[[Iterator[NamedFile]], None]) -> str:
    """Copies both databases into `folder`; calls `record` with the files that the copy names.

    Returns the revision of the schema. The copy of DBOS's database comes first and is older: it
    then lacks steps whose effects are in the node's database, as after a crash. Recovery repeats
    such steps.

    Raises:
        BackupRefused: there is no database, or it is damaged.
        Misconfigured: a newer version has upgraded the database.
    """
    live = site.database.file
    if live is None or not live.is_file():
        raise BackupRefused(f"there is nothing to back up: the database {live} does not exist")
    if site.settings.engine_file.is_file():
        _copy(site.settings.engine_file, folder / ENGINE_FILE)
    _copy(live, folder / DATABASE_FILE)
    copied = Database(URL.create("sqlite+pysqlite", database=str(folder / DATABASE_FILE)))
    try:
        with copied.reading() as connection:
            revision = usable_revision(connection)
            if revision is None:
                raise BackupRefused(f"{live} is not a database of segnode")
            record(named_files(connection))
    finally:
        copied.close()
    return revision


def check_absent(site: Site) -> None:
    """Checks that there is no database, and no log that SQLite would apply to the restored one.

    Raises:
        BackupRefused: there is.
    """
    file = site.database.file
    if file is None:
        return
    for suffix in _SUFFIXES:
        existing = file.with_name(file.name + suffix)
        if existing.exists():
            raise BackupRefused(f"{existing} exists: move the old database aside first")


def restore_databases(folder: Path, site: Site) -> None:
    """Copies both databases to their places, DBOS's first, each complete or not at all."""
    target = site.database.file
    if target is None:
        raise BackupRefused("the backup holds an SQLite database, and database_url names another")
    if (folder / ENGINE_FILE).is_file():
        _restore(folder / ENGINE_FILE, site.settings.engine_file)
    _restore(folder / DATABASE_FILE, target)


def _copy(live: Path, copy: Path) -> None:
    """Copies a database as of one moment, and checks the copy.

    Raises:
        BackupRefused: the database is damaged.
        sqlite3.OperationalError: it is locked for long, or the disk is full.
    """
    copy.unlink(missing_ok=True)
    source = f"{live.absolute().as_uri()}?mode=rw"
    try:
        with (
            closing(sqlite3.connect(source, uri=True)) as original,
            closing(sqlite3.connect(copy)) as made,
        ):
            original.backup(made)  # in one step: writers can change it only before and after
            # One file without a write-ahead log beside it.
            made.execute("PRAGMA journal_mode=DELETE")
            problem = made.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:  # such as a full disk
        raise
    except sqlite3.DatabaseError as error:
        problem = str(error)
    if problem != "ok":
        raise BackupRefused(f"the database {live} is damaged ({problem}): restore a backup")
    with copy.open("rb+") as file:
        os.fsync(file.fileno())


def _restore(copy: Path, target: Path) -> None:
    with copy.open("rb") as source, durable_file(target) as file:
        while chunk := source.read(_CHUNK_BYTES):
            file.write(chunk)
