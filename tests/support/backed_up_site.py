"""A small site without processes, for tests of backups."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.domain.identifiers import Uid
from node.domain.result_objects import SEG, StoredObject
from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.maintenance.backup.backup import MakeBackup
from node.maintenance.backup.backup_folder import Backup, BackupFolder
from node.maintenance.backup.restore import Restore, VerifiedBackup
from node.maintenance.backup.site import Progress, Site
from node.settings import Settings
from node.store import Store
from node.store.files import DataFolder, Files
from tests.support.factories import NOON, encoded, job_of, received


def ignore_progress(_done: int, _total: int) -> None:
    """A `Progress` that shows nothing."""


class InterceptedFiles(DataFolder):
    """A data folder that calls `before_copies` when files are about to be read."""

    before_copies: Callable[[], object] | None = None

    @contextmanager
    def local_copies(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """See `Files.local_copies`."""
        if self.before_copies is not None and paths:
            self.before_copies()
        with super().local_copies(paths) as local:
            yield local


@dataclass
class BackedUpSite:
    """A store with its files; each backup is an hour later than the one before."""

    folder: Path
    database_url: str = ""
    files: Files | None = None
    backups_made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.data_dir = self.folder / "data"
        url = self.database_url or f"sqlite:///{self.data_dir / 'segnode.db'}"
        self.settings = Settings(data_dir=self.data_dir, database_url=url)
        self.stored_in = InterceptedFiles(self.data_dir) if self.files is None else self.files
        self.backups = BackupFolder(self.folder / "backups")
        self.backups.folder.mkdir(parents=True, exist_ok=True)
        self.store = self.open_store()

    def open_store(self) -> Store:
        """Opens the store, as a process of the node does."""
        return Store.open(self.settings.database_url, self.data_dir, self.stored_in)

    @property
    def site(self) -> Site:
        """What a backup is made of."""
        return Site(self.settings, self.stored_in)

    def receive(self, number: int, *, series: str = "1.2.3", size_bytes: int = 8) -> Path:
        """Stores an image with so many bytes of pixels; returns its file.

        The algorithm of its digest depends on its number.
        """
        uid = f"{series}.{number}"
        pixels = {"PixelData": bytes(size_bytes)}
        dataset = encoded(sop_instance_uid=uid, series_instance_uid=series, attributes=pixels)
        image = received(sop_instance_uid=uid, series_instance_uid=series, dataset=dataset)
        inbox = Inbox(self.store, 0, "blake3" if number % 2 == 0 else "sha256")
        return inbox.accept(image, NOON).instance.path

    def decide(self, series: str, count: int) -> None:
        """Ends a series of `count` images without a job, so that it can be cleared."""
        assert self.store.record_decision(series, "{}", SeriesState.IGNORED, NOON, count)

    def add_result(self, series: str, content: bytes) -> Path:
        """Stores a result for a series, or another content for the one it has."""
        job = job_of(Uid(series))
        path = self.data_dir / "results" / job.job_id / "seg.dcm"
        self.stored_in.put(path, [content])
        if self.store.get_job(job.job_id) is None:
            self.store.add_job(replace(job, result_path=path))
            self.store.record_objects(
                [StoredObject(job.job_id, SEG, "1.2.840.10008.5.1.4.1.1.66.4", (path,), 1)]
            )
        return path

    def back_up(self, progress: Progress = ignore_progress) -> Backup:
        """Makes a backup, or continues one."""
        self.backups_made += 1
        started = datetime.now(UTC) + timedelta(hours=self.backups_made)
        site = self.site
        try:
            return MakeBackup(site, self.backups, lambda: started, progress).run()
        finally:
            site.database.close()


def restore(
    backup: Backup,
    target: Site,
    progress: Progress = ignore_progress,
    *,
    leave_out_damaged: bool = False,
) -> dict[str, str]:
    """Restores a backup; returns the damaged files that it left out."""
    try:
        verified = VerifiedBackup.open(backup)
        return Restore(verified, target, progress).run(leave_out_damaged=leave_out_damaged)
    finally:
        target.database.close()


def empty_target(folder: Path) -> Site:
    """An empty site with an embedded database."""
    settings = Settings(data_dir=folder, database_url=f"sqlite:///{folder / 'segnode.db'}")
    return Site(settings, DataFolder(folder))


@contextmanager
def opened(target: Site) -> Iterator[Store]:
    """Opens the store of a restored site, as a process of the node does."""
    store = Store.open(target.settings.database_url, target.data_dir, target.files)
    try:
        yield store
    finally:
        store.close()
