"""A backup or restore that is killed: `-m tests.support.processes.killed_backup`.

The arguments are a folder, the folder of the backups and a point. The first one is the data folder
of a site, or the one that the newest backup is restored into. The process kills itself with SIGKILL
at the given point.
"""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from node.maintenance.backup import backup, sqlite_copy
from node.maintenance.backup.backup_folder import BackupFolder, find_backup
from node.maintenance.backup.file_list import FileList
from node.store.files import DataFolder
from tests.support.backed_up_site import empty_target, ignore_progress, restore
from tests.support.processes.dying_worker import kill_at


class BackupKillPoint(StrEnum):
    """Where a backup is killed."""

    DATABASES_COPIED = "after the databases are copied"
    FILE_COPIED = "after a file is copied and before it is listed"
    FILES_LISTED = "after some files are listed"
    MANIFEST_WRITTEN = "after the manifest is written"


class RestoreKillPoint(StrEnum):
    """Where a restore is killed."""

    MARKED = "before the first file is restored"
    FILE_RESTORED = "after a file is restored"
    BEFORE_DATABASES = "before the databases are restored"
    BETWEEN_DATABASES = "between the databases"
    AFTER_DATABASES = "after the databases are restored"


def kill_backup_at(point: BackupKillPoint) -> None:
    match point:
        case BackupKillPoint.DATABASES_COPIED:
            kill_at(sqlite_copy, "copy_databases", after=True)
        case BackupKillPoint.FILE_COPIED:
            kill_at(FileList, "add", call=20)
        case BackupKillPoint.FILES_LISTED:
            kill_at(FileList, "commit", after=True)
        case BackupKillPoint.MANIFEST_WRITTEN:
            kill_at(backup, "write_manifest", after=True)


def kill_restore_at(point: RestoreKillPoint) -> None:
    match point:
        case RestoreKillPoint.MARKED:
            kill_at(DataFolder, "add")
        case RestoreKillPoint.FILE_RESTORED:
            kill_at(DataFolder, "add", call=5, after=True)
        case RestoreKillPoint.BEFORE_DATABASES:
            kill_at(sqlite_copy, "restore_databases")
        case RestoreKillPoint.BETWEEN_DATABASES:
            kill_at(sqlite_copy, "_restore", after=True)
        case RestoreKillPoint.AFTER_DATABASES:
            kill_at(sqlite_copy, "restore_databases", after=True)


def main(folder: Path, backups: Path, point: str) -> None:
    """Runs until the kill point."""
    target = empty_target(folder)
    if point in list(BackupKillPoint):
        kill_backup_at(BackupKillPoint(point))
        made = backup.MakeBackup(
            target, BackupFolder(backups), lambda: datetime.now(UTC), ignore_progress
        )
        made.run()
    else:
        kill_restore_at(RestoreKillPoint(point))
        restore(find_backup(backups), target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
