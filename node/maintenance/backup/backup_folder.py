"""A folder of backups: complete ones by the time of their start, and one that is being made."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from node.maintenance.backup.manifest import BackupRefused, Manifest, digest_file, read_manifest
from node.store.files.durable import durable_file

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{6}Z(\.\d+)?")
_INCOMPLETE = "incomplete"
_LOCK_FILE = "backup.lock"
_SITE_FILE = "site"
_REMOVED_SUFFIX = ".removed"


@dataclass(frozen=True)
class Backup:
    """One backup; it is complete once it has a manifest and its final name."""

    folder: Path

    @property
    def manifest_file(self) -> Path:
        """Written last."""
        return self.folder / "manifest.json"

    @property
    def file_list(self) -> Path:
        """The list of the images and results, with their digests."""
        return self.folder / "files.sqlite"

    @property
    def files(self) -> Path:
        """The images and results, at their paths below the data folder."""
        return self.folder / "files"

    @property
    def database(self) -> Path:
        """The folder with the copies of the databases."""
        return self.folder / "database"

    def manifest(self) -> Manifest:
        """Reads its manifest.

        Raises:
            BackupRefused: the backup is not complete, or the manifest is damaged.
        """
        return read_manifest(self.manifest_file)


@dataclass(frozen=True)
class BackupFolder:
    """The backups in one folder."""

    folder: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held while a backup is made here.

        Raises:
            BackupRefused: the folder does not exist, or another backup is being made.
        """
        if not self.folder.is_dir():
            raise BackupRefused(
                f"{self.folder} is not a folder: create it first. If it is on a disk of its own, "
                "check that the disk is mounted"
            )
        with (self.folder / _LOCK_FILE).open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BackupRefused(
                    f"another backup into {self.folder} is running: wait until it has ended"
                ) from error
            yield

    def check_site(self, name: str) -> None:
        """Checks that the backups here are of the site `name`; the first backup marks the folder.

        Another site would take them for its own, delete old ones, and restore the newest.

        Raises:
            BackupRefused: they are of another site.
        """
        file = self.folder / _SITE_FILE
        if not name:
            return
        if not file.exists():
            with durable_file(file) as mark:
                mark.write(name.encode("ascii"))
        elif file.read_text(encoding="ascii", errors="replace") != name:
            raise BackupRefused(
                f"{self.folder} holds the backups of another site: use a folder for each site"
            )

    def backups(self) -> list[Backup]:
        """Returns the complete backups, oldest first."""
        return [
            Backup(path)
            for path in sorted(self.folder.iterdir(), key=_order)
            if _NAME.fullmatch(path.name) and Backup(path).manifest_file.is_file()
        ]

    def begin(self) -> Backup:
        """Returns the backup that is to be made; it continues one that was interrupted."""
        backup = Backup(self.folder / _INCOMPLETE)
        backup.files.mkdir(parents=True, exist_ok=True)
        # A journal of a copy that was interrupted would change the next copy.
        shutil.rmtree(backup.database, ignore_errors=True)
        backup.database.mkdir()
        for path in (backup.manifest_file, digest_file(backup.manifest_file)):
            path.unlink(missing_ok=True)
        return backup

    def complete(self, backup: Backup, started_at: datetime) -> Backup:
        """Gives a backup whose manifest is written its final name; durable on return."""
        name = f"{started_at:%Y-%m-%dT%H%M%SZ}"
        names = (name if number == 1 else f"{name}.{number}" for number in count(1))
        target = next(path for each in names if not (path := self.folder / each).exists())
        os.sync()  # the folders, and links to files of earlier backups
        backup.folder.rename(target)
        os.sync()
        return Backup(target)

    def keep_newest(self, number: int, made: Backup) -> list[str]:
        """Deletes complete backups older than the newest ones; returns their names.

        Raises:
            BackupRefused: one cannot be deleted; or one is newer than `made`, the backup just made,
                and none is deleted: by a wrong clock, that would be the wrong one.
        """
        backups = self.backups()
        newest = backups[-1].folder.name
        if newest != made.folder.name:
            raise BackupRefused(
                f"{made.folder} is complete, but no older backup was deleted: {newest} is newer "
                "than the backup just made. Check the clock of this machine, and remove what has a "
                "wrong time"
            )
        try:
            old = backups[:-number]
            for backup in old:
                # A backup that is deleted in part must not look complete.
                backup.folder.rename(backup.folder.with_name(backup.folder.name + _REMOVED_SUFFIX))
            for doomed in self.folder.glob(f"*{_REMOVED_SUFFIX}"):
                shutil.rmtree(doomed)
        except OSError as error:
            raise BackupRefused(
                f"an older backup cannot be deleted: {error.filename}: {error.strerror}"
            ) from error
        return [backup.folder.name for backup in old]


def find_backup(folder: Path) -> Backup:
    """Returns the backup at `folder`, or the newest one in it.

    Raises:
        BackupRefused: there is no complete backup.
    """
    try:
        if Backup(folder).manifest_file.is_file():
            return Backup(folder)
        backups = BackupFolder(folder).backups() if folder.is_dir() else []
    except OSError as error:
        raise BackupRefused(f"{error.filename} cannot be read: {error.strerror}") from error
    if not backups:
        raise BackupRefused(f"{folder} is not a complete backup, and holds none")
    return backups[-1]


def _order(path: Path) -> tuple[str, int]:
    name, _, number = path.name.partition(".")
    return name, int(number) if number.isdigit() else 1
