"""A PostgreSQL server for tests, without a network and separate from the system's server."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg
import pytest

from node.store.database import Database, parse_url
from node.store.migrate import run_migrations

_INSTALL_HINT = "PostgreSQL is not installed: apt-get install postgresql"
_USER = "segnode"


def _programs() -> Path:
    """Returns the folder of initdb and pg_ctl, which Debian does not put on PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip(_INSTALL_HINT)
    return folders[-1]


class PostgresqlServer:
    """A server on a socket in a temporary folder; under root it runs as user `postgres`."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._account = "postgres" if os.geteuid() == 0 else None
        # The path of a socket must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        if self._account is not None:
            shutil.chown(self._folder, self._account, self._account)
        self._database_count = 0
        self._migrated = ""  # the name of a database with our tables and no rows

    def new_database(self) -> str:
        """Creates an empty database and returns its URL."""
        return self._create("template1")

    def new_migrated_database(self) -> str:
        """Creates a database with the tables of this version, without running each migration."""
        if not self._migrated:
            url = self.new_database()
            database = Database(parse_url(url))
            run_migrations(database)
            database.close()
            self._migrated = f"test{self._database_count}"
        return self._create(self._migrated)

    def new_protected_database(self, user: str, password: str) -> str:
        """Creates an empty database of a user who needs that password, and returns its URL."""
        url = self.new_database()
        name = f"test{self._database_count}"
        self.set_password(user, password)
        self._execute(f"ALTER DATABASE {name} OWNER TO {user}")
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        self._execute("SELECT pg_reload_conf()")
        return url.replace(_USER, user, 1)

    def set_password(self, user: str, password: str) -> None:
        """Sets the password of a user, who is created if missing, and ends his connections."""
        self._execute(
            f"DO $$ BEGIN CREATE ROLE {user}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        self._execute(f"ALTER ROLE {user} LOGIN PASSWORD '{password}'")
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", user
        )

    def _execute(self, statement: str, *values: str) -> None:
        with psycopg.connect(
            host=str(self._folder), user=_USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode(), values or None)

    def _create(self, template: str) -> str:
        self._database_count += 1
        name = f"test{self._database_count}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://{_USER}@/{name}?host={self._folder}"

    def __enter__(self) -> Self:
        data = str(self._folder / "data")
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={_USER}", "-D", data)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Starts or restarts the server."""
        data = str(self._folder / "data")
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -F"
        self._run("pg_ctl", "start", "--wait", "-D", data, "-l", f"{data}/log", "-o", options)

    def stop(self) -> None:
        """Stops the server like a crash: every connection breaks."""
        self._run("pg_ctl", "stop", "--mode=immediate", "-D", str(self._folder / "data"))

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            user=self._account,
            group=self._account,
            timeout=60,
        )
