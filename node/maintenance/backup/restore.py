"""Restores a backup into an empty site.

Files come first and databases last, and a mark in the data folder keeps the node from starting
before the end. An interrupted restore continues with the files that are missing.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from node.domain.errors import Transient
from node.maintenance.backup import postgresql_copy, sqlite_copy
from node.maintenance.backup.backup_folder import Backup
from node.maintenance.backup.file_copies import DAMAGED, MISSING, is_inside
from node.maintenance.backup.file_list import CopiedFile, FileList
from node.maintenance.backup.manifest import BackupRefused, Manifest, file_digest
from node.maintenance.backup.site import Progress, Site
from node.settings.location import restore_mark
from node.store.files.durable import durable_file, sync_folder
from node.store.migrate import LATEST_REVISION

_BATCH = 100
# How many damaged files a message names.
_MAX_NAMED = 20
# A new file system has this folder.
_ALLOWED = {"lost+found"}


@dataclass(frozen=True)
class VerifiedBackup:
    """A backup whose manifest, databases and list of files are as they were made.

    The images and results are verified when they are read.
    """

    backup: Backup
    manifest: Manifest

    @classmethod
    def open(cls, backup: Backup) -> Self:
        """Verifies the main files.

        Raises:
            BackupRefused: one is damaged or missing, or the schema is newer than this version.
        """
        manifest = backup.manifest()
        if manifest.schema_revision > LATEST_REVISION:
            raise BackupRefused(
                f"{backup.folder} was made by segnode {manifest.segnode_version} with the database "
                f"schema {manifest.schema_revision}, which is newer than {LATEST_REVISION} of this "
                "version: install that version, then restore"
            )
        for name, digest in manifest.digests.items():
            if _digest(backup.folder / name) != digest:
                raise BackupRefused(
                    f"{backup.folder / name} is damaged or missing: use another backup"
                )
        return cls(backup, manifest)

    def read_files(
        self, use: Callable[[CopiedFile, bytes], None], progress: Progress
    ) -> dict[str, str]:
        """Calls `use` with each intact file; returns the others, and what is wrong with them."""
        damaged: dict[str, str] = {}
        done = 0
        with closing(FileList.open_complete(self.backup.file_list)) as files:
            for batch in files.files(_BATCH):
                for file in batch:
                    content = self._content(file)
                    if isinstance(content, str):
                        damaged[file.path] = content
                    else:
                        use(file, content)
                done += len(batch)
                progress(done, self.manifest.file_count)
        return damaged

    def _content(self, file: CopiedFile) -> bytes | str:
        """Returns the bytes of a file; what is wrong with it if they are not those of the list."""
        if not is_inside(file.path):
            return DAMAGED
        try:
            content = (self.backup.files / file.path).read_bytes()
        except FileNotFoundError:
            return MISSING
        except OSError as error:
            return f"unreadable: {error.strerror}"
        return content if hashlib.sha256(content).hexdigest() == file.sha256 else DAMAGED


@dataclass(frozen=True)
class Restore:
    """Restores a backup into a site whose data folder and database are empty."""

    verified: VerifiedBackup
    site: Site
    progress: Progress

    def run(self, *, leave_out_damaged: bool = False) -> dict[str, str]:
        """Restores everything; durable on return. Returns damaged files that it left out.

        Raises:
            BackupRefused: the site is not empty, or the backup does not fit it; nothing changes. Or
                files of the backup are damaged: then the node does not start on what is restored.
            Transient: the disk is full, or the database does not answer. A later run continues.
        """
        self._check_kind()
        mark = restore_mark(self.site.data_dir)
        with _errors_as_transient(self.site.data_dir), _only_restore_into(self.site.data_dir):
            is_continued = mark.is_file()
            if is_continued:
                self._check_mark(mark)
            else:
                self._check_empty()
                with durable_file(mark) as file:
                    file.write(self._identity.encode("ascii"))
            self.site.files.remove_abandoned()
            damaged = self.verified.read_files(self._store, self.progress)
            if damaged and not leave_out_damaged:
                raise BackupRefused(self._damage(damaged))
            self._restore_databases(is_continued=is_continued)
            mark.unlink()
            sync_folder(mark.parent)
        return damaged

    @property
    def _identity(self) -> str:
        return file_digest(self.verified.backup.manifest_file)

    def _check_kind(self) -> None:
        kind = "sqlite" if self.site.database.is_sqlite else "postgresql"
        if kind != self.verified.manifest.database:
            raise BackupRefused(
                f"the backup holds a database of {self.verified.manifest.database}, and the "
                f"configuration names one of {kind}: set database_url to an empty database of "
                f"{self.verified.manifest.database}"
            )

    def _check_mark(self, mark: Path) -> None:
        if mark.read_text(encoding="ascii") != self._identity:
            raise BackupRefused(
                f"{mark.parent} holds a part of another backup: continue with that one, or use an "
                "empty folder"
            )

    def _check_empty(self) -> None:
        data_dir = self.site.data_dir
        with suppress(FileNotFoundError):
            _check_owner(data_dir)
            found = {path.name for path in data_dir.iterdir()} - _ALLOWED
            if found:
                raise BackupRefused(
                    f"{data_dir} is not empty: it has {min(found)}. A backup is restored into an "
                    "empty folder only; move the old one aside first"
                )
        for name in ("instances", "results", postgresql_copy.SITE_FILE):
            is_there = self.site.files.exists(data_dir / name)
            if is_there or any(True for _ in self.site.files.iter_files(data_dir / name)):
                raise BackupRefused(
                    f"the storage of the site is not empty: it has {name}. Use an empty bucket or "
                    "another prefix"
                )
        if self.site.database.is_sqlite:
            sqlite_copy.check_absent(self.site)
        else:
            postgresql_copy.check_empty(self.site)

    def _store(self, file: CopiedFile, content: bytes) -> None:
        # A file that is there comes from an interrupted restore, and is complete.
        self.site.files.add(self.site.data_dir / file.path, [content])

    def _damage(self, damaged: dict[str, str]) -> str:
        named = [f"  {how}: {path}" for path, how in sorted(damaged.items())[:_MAX_NAMED]]
        if len(damaged) > len(named):
            named.append(f"  and {len(damaged) - len(named)} more")
        return "\n".join(
            [
                f"{self.verified.backup.folder} is damaged:",
                *named,
                f"The node does not start on {self.site.data_dir}, which holds a part of it now. "
                "Restore another backup into an empty folder, or run the command again with "
                "--leave-out-damaged: the node then lacks these files, and `segnode store verify` "
                "names the images",
            ]
        )

    def _restore_databases(self, *, is_continued: bool) -> None:
        folder = self.verified.backup.database
        if self.site.database.is_sqlite:
            sqlite_copy.restore_databases(folder, self.site)
            return
        if is_continued and postgresql_copy.is_restored(self.site, self._site_name()):
            return
        postgresql_copy.check_empty(self.site)
        postgresql_copy.restore_database(folder, self.site)

    def _site_name(self) -> str:
        file = self.site.data_dir / postgresql_copy.SITE_FILE
        with self.site.files.local_copies([file]) as (copy,):
            return copy.read_text(encoding="ascii").strip() if copy.is_file() else ""


def _check_owner(data_dir: Path) -> None:
    """Checks that the node can use what this user creates.

    Raises:
        BackupRefused: the folder belongs to another user.
    """
    owner = data_dir.stat().st_uid
    if owner != os.geteuid():
        raise BackupRefused(
            f"{data_dir} belongs to the user with number {owner}: restore as this user, who runs "
            "the node (runuser -u segnode -- segnode restore ...)"
        )


@contextmanager
def _only_restore_into(data_dir: Path) -> Iterator[None]:
    """Makes the folder if needed, and keeps other restores of this machine out of it.

    A folder that it makes is gone again if the restore fails before it has written a file.

    Raises:
        BackupRefused: another restore runs.
        OSError: the folder cannot be made.
    """
    was_there = data_dir.exists()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRefused(
                f"another restore into {data_dir} runs: wait until it has ended"
            ) from error
        except OSError:
            pass  # some network file systems lock no folders
        yield
    except BaseException:
        if not was_there:
            with suppress(OSError):  # it is not empty
                data_dir.rmdir()
        raise
    finally:
        os.close(folder)


def _digest(path: Path) -> str:
    """Returns the digest of a file; empty if it cannot be read."""
    try:
        return file_digest(path)
    except OSError:
        return ""


@contextmanager
def _errors_as_transient(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(data_dir, f"{error.strerror or error}") from error
    except Transient as error:
        raise _failed(data_dir, str(error)) from error


def _failed(data_dir: Path, cause: str) -> Transient:
    return Transient(
        f"the restore into {data_dir} has stopped: {cause}. Run the command again once that is "
        "solved: it continues where it stopped"
    )
