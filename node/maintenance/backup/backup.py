"""Makes a backup while the node runs.

The database is copied first, then every file that the copy names. What the node accepts meanwhile
is missing in the backup; nothing that the copied database names is. The node may delete or replace
a file between the two copies: then both are made again, and the second time only what changed.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from node.domain.errors import Transient
from node.maintenance.backup import postgresql_copy, sqlite_copy
from node.maintenance.backup.backup_folder import Backup, BackupFolder
from node.maintenance.backup.file_copies import FileCopies, Previous
from node.maintenance.backup.file_list import FileList
from node.maintenance.backup.manifest import (
    BackupRefused,
    Manifest,
    file_digest,
    write_manifest,
)
from node.maintenance.backup.site import Progress, Site
from node.settings.location import refuse_unfinished_restore
from node.store.named_files import NamedFile

# Each pass after the first needs a file that the node deleted or replaced at that moment.
_MAX_PASSES = 10
_CONFIGURATION_FILE = "segnode.toml"


@dataclass(frozen=True)
class MakeBackup:
    """Makes one backup of a site after the other in a folder."""

    site: Site
    folder: BackupFolder
    now: Callable[[], datetime]
    progress: Progress

    def run(self) -> Backup:
        """Makes a backup, or continues one that was interrupted; durable on return.

        Raises:
            BackupRefused: it cannot be made there; says what to do.
            Misconfigured: a newer version has upgraded the database.
            Transient: the disk is full, or the site does not answer. A later run continues.
        """
        started_at = self.now()
        with _errors_as_transient(self.folder.folder), self.folder.locked(), ExitStack() as stack:
            self._check_site()
            self.folder.check_site(self.site.name)
            backup = self.folder.begin()
            copies = stack.enter_context(closing(FileList.open(backup.file_list)))
            previous = self._previous(stack)
            revision, lost = self._copy(backup, copies, previous)
            for path in copies.remove_others(lost):
                (backup.files / path).unlink(missing_ok=True)
            copies.finish()
            count, size = copies.totals()
            copies.close()
            manifest = Manifest(
                segnode_version=version("segnode"),
                schema_revision=revision,
                database="sqlite" if self.site.database.is_sqlite else "postgresql",
                started_at=started_at,
                finished_at=self.now(),
                file_count=count,
                size_bytes=size,
                digests=self._digests(backup),
                lost=lost,
            )
            write_manifest(backup.manifest_file, manifest)
            return self.folder.complete(backup, started_at)

    def _check_site(self) -> None:
        refuse_unfinished_restore(self.site.data_dir)
        folder, data_dir = self.folder.folder.resolve(), self.site.data_dir.resolve()
        if folder.is_relative_to(data_dir):
            raise BackupRefused(
                f"{folder} is in the data folder {data_dir}: a backup belongs on another disk"
            )

    def _previous(self, stack: ExitStack) -> Previous | None:
        """The newest complete backup; what did not change since then becomes a link."""
        backups = self.folder.backups()
        if not backups:
            return None
        try:
            backups[-1].manifest()
        except BackupRefused:
            return None  # damaged: everything is copied
        opened = FileList.open_complete(backups[-1].file_list)
        return Previous(backups[-1], stack.enter_context(closing(opened)))

    def _copy(
        self, backup: Backup, copies: FileList, previous: Previous | None
    ) -> tuple[str, dict[str, str]]:
        """Copies databases and files; returns the revision of the schema, and the lost files.

        A file that two passes do not find, although its row was there between them, is lost.
        """
        lost_before: set[str] = set()
        for number in range(_MAX_PASSES):
            if number > 0:
                # A transaction that deletes files removes their rows at its end.
                self.site.wait_for_transactions()
            counts: list[int] = []

            def record(files: Iterator[NamedFile], counts: list[int] = counts) -> None:
                counts.append(copies.want(files))

            revision = self._copy_databases(backup, record)
            lost = self._file_copies(backup, copies, previous).copy_all(counts[0], self.progress)
            if set(lost) <= lost_before:
                return revision, lost
            lost_before = set(lost)
        raise Transient(
            "the node deletes files faster than they are copied: run the backup when it has less "
            "to delete"
        )

    def _copy_databases(self, backup: Backup, record: Callable[[Iterator[NamedFile]], None]) -> str:
        copy = (
            sqlite_copy.copy_databases
            if self.site.database.is_sqlite
            else postgresql_copy.copy_database
        )
        return copy(self.site, backup.database, record)

    def _file_copies(
        self, backup: Backup, copies: FileList, previous: Previous | None
    ) -> FileCopies:
        data_dir = self.site.data_dir
        results = self.site.files.iter_files(data_dir / "results")
        return FileCopies(
            self.site,
            backup,
            copies,
            previous,
            {file.path.relative_to(data_dir).as_posix(): file.modified_at for file in results},
            self.now().timestamp(),
        )

    def _digests(self, backup: Backup) -> dict[str, str]:
        """Copies the configuration; returns the digests of all files but images and results."""
        configuration = self.site.settings.file
        if configuration is not None:
            copy = backup.folder / _CONFIGURATION_FILE
            copy.write_bytes(configuration.read_bytes())
        paths = [p for p in backup.folder.iterdir() if p.is_file()]
        paths += [p for p in backup.database.iterdir() if p.is_file()]
        return {path.relative_to(backup.folder).as_posix(): file_digest(path) for path in paths}


@contextmanager
def _errors_as_transient(folder: Path) -> Iterator[None]:
    """Raises Transient for what keeps the backup from being written."""
    try:
        yield
    except (OSError, sqlite3.DatabaseError) as error:
        is_full = (isinstance(error, OSError) and error.errno == errno.ENOSPC) or (
            getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        )
        cause = "its disk is full" if is_full else str(error)
        raise Transient(
            f"the backup in {folder} cannot be written: {cause}. Earlier backups are unchanged. "
            "Run the command again: it continues where it stopped"
        ) from error
