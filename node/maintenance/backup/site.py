"""What a backup is made of, and what it is restored into."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import insert, inspect, select, text

from node.domain.audit.records import AuditRecord
from node.settings import Settings
from node.store.audit_trail.tables import AUDIT_RECORDS
from node.store.audit_trail.trail import append_record
from node.store.database import Database, parse_url
from node.store.files import Files
from node.store.schema import SITE

# Called with the number of files that are done, and of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Site:
    """The databases and files of a site, opened without a migration."""

    settings: Settings
    files: Files

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return self.settings.data_dir.absolute()

    @cached_property
    def database(self) -> Database:
        """The node's database."""
        return Database(parse_url(self.settings.database_url), self.settings.database_password)

    @cached_property
    def name(self) -> str:
        """Identifies the site, also after a restore; empty where its database does not say.

        Raises:
            Transient: the database does not answer.
        """
        file = self.database.file
        if file is not None and not file.is_file():
            return ""  # to read it would create it
        with self.database.writing() as connection:
            if not inspect(connection).has_table(SITE.name):
                return ""
            found = connection.execute(select(SITE.c.name)).scalar_one_or_none()
            if found is None and self.database.is_sqlite:  # only PostgreSQL has needed one
                found = str(uuid.uuid4())
                connection.execute(insert(SITE).values(name=found))
            return found or ""

    def record(self, record: AuditRecord) -> None:
        """Appends a record to the audit trail; a database of an earlier version may have none.

        Raises:
            Transient: the record cannot be written.
        """
        file = self.database.file
        if file is not None and not file.is_file():
            return
        with self.database.writing() as connection:
            if inspect(connection).has_table(AUDIT_RECORDS.name):
                append_record(self.database, connection, record)

    def wait_for_transactions(self) -> None:
        """Returns when every transaction that deletes files now has ended.

        Raises:
            Transient: the database does not answer.
        """
        if self.database.is_sqlite:
            with self.database.writing():
                return
        # Every transaction that deletes files has locked a row of one of these tables before. Both
        # locks in one transaction could wait for each other.
        for table in ("series", "jobs"):
            with self.database.writing() as connection:
                connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
