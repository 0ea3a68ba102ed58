"""Copies of a PostgreSQL database with PostgreSQL's own programs: pg_dump and pg_restore."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import inspect, select
from sqlalchemy.engine import Connection

from node.domain.errors import Transient
from node.maintenance.backup.manifest import BackupRefused
from node.maintenance.backup.site import Site
from node.store.database import Database
from node.store.migrate import usable_revision
from node.store.named_files import NamedFile, named_files
from node.store.schema import SERIES
from node.store.schema import SITE as SITE_TABLE

DUMP_FILE = "segnode.pgdump"
# It links the database to its files; `check_files` compares both.
SITE_FILE = "site"


def copy_database(site: Site, folder: Path, record: Callable[[Iterator[NamedFile]], None]) -> str:
    """Dumps the database into `folder`; calls `record` with the files that the dump names.

    Returns the revision of the schema. The tables of DBOS are in the same database and in the same
    dump.

    Raises:
        BackupRefused: the database is empty, or pg_dump is missing or fails.
        Misconfigured: a newer version has upgraded the database.
        Transient: the database does not answer.
    """
    with site.database.exporting() as (connection, snapshot):
        revision = usable_revision(connection)
        if revision is None:
            raise BackupRefused("there is nothing to back up: the database has no tables")
        record(_files_and_site(connection))
        arguments = [f"--snapshot={snapshot}", f"--file={folder / DUMP_FILE}", "--format=custom"]
        _run("pg_dump", site.database, arguments)
    with (folder / DUMP_FILE).open("rb+") as file:
        os.fsync(file.fileno())
    return revision


def check_empty(site: Site) -> None:
    """Checks that the database has no tables of segnode.

    Raises:
        BackupRefused: it has some.
        Transient: it does not answer.
    """
    with site.database.reading() as connection:
        if inspect(connection).has_table(SERIES.name):
            raise BackupRefused(
                f"the database {site.database.url.database} is not empty: create an empty one, and "
                "name it in database_url"
            )


def is_restored(site: Site, name: str) -> bool:
    """Whether the database is the one of the site with that name.

    It is restored in one transaction: it is empty or complete.
    """
    with site.database.reading() as connection:
        if not inspect(connection).has_table(SITE_TABLE.name):
            return False
        return name == connection.execute(select(SITE_TABLE.c.name)).scalar_one_or_none()


def restore_database(folder: Path, site: Site) -> None:
    """Restores the dump into the empty database, in one transaction.

    Raises:
        BackupRefused: pg_restore is missing or fails; nothing is changed.
    """
    arguments = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    _run("pg_restore", site.database, [*arguments, str(folder / DUMP_FILE)])


def _files_and_site(connection: Connection) -> Iterator[NamedFile]:
    yield from named_files(connection)
    if inspect(connection).has_table(SITE_TABLE.name):
        yield NamedFile(SITE_FILE)


def _run(program: str, database: Database, arguments: list[str]) -> None:
    # The password in the arguments would be visible to everybody on this machine.
    url, environment = database.url, dict(os.environ)
    password = database.password.current() if database.password.is_named else url.password
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    address = url.set(drivername="postgresql", password=None).render_as_string()
    try:
        run = subprocess.run(
            [program, f"--dbname={address}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackupRefused(
            f"{program} is not installed, which copies a PostgreSQL database. Install PostgreSQL's "
            "client programs, in the version of the server or a later one (apt-get install "
            "postgresql-client), or back up with the tools of your database as "
            "deploy/backup-and-upgrade.md describes"
        ) from error
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
        raise Transient(f"{program} failed: {'; '.join(lines[:3])}")
