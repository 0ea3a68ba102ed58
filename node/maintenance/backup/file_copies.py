"""Copies the files that a database names into a backup; those that did not change become links."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from node.dicom.data_set_digest import has_digest
from node.domain.errors import Rejected
from node.domain.instance import Channel, Origin
from node.intake.part10 import received_from_part10
from node.maintenance.backup.backup_folder import Backup
from node.maintenance.backup.file_list import CopiedFile, FileList
from node.maintenance.backup.site import Progress, Site
from node.store.named_files import NamedFile

MISSING, DAMAGED, OUTSIDE = "missing", "damaged", "outside the data folder"
# As many are fetched from a bucket at once.
_BATCH = 16
# A file that changed later than this before it was copied could change again within the resolution
# of the time, and the clock of a server can differ.
_SETTLED_SECONDS = 60.0
_ORIGIN = Origin(Channel.FOLDER, "backup")


@dataclass(frozen=True)
class Previous:
    """The previous backup: its files, and the list of them."""

    backup: Backup
    files: FileList


@dataclass(frozen=True)
class FileCopies:
    """Copies the files of a site into one backup.

    `modified_at` has the times of the last changes of results. `now_s` is the time in seconds since
    1970.
    """

    site: Site
    backup: Backup
    copies: FileList
    previous: Previous | None
    modified_at: Mapping[str, float]
    now_s: float

    def copy_all(self, count: int, progress: Progress) -> dict[str, str]:
        """Copies what the backup lacks of `count` files; returns lost files, and how they are lost.

        Raises:
            OSError: the backup cannot be written.
            Transient: the storage of the site does not answer.
        """
        lost: dict[str, str] = {}
        done = 0
        for batch in self.copies.wanted(_BATCH):
            missing = []
            for file in batch:
                if not is_inside(file.path):
                    lost[file.path] = OUTSIDE
                elif not (self._is_copied(file) or self._is_linked(file)):
                    missing.append(file)
            lost |= self._copy(missing)
            self.copies.commit()
            done += len(batch)
            progress(done, count)
        return lost

    def _is_copied(self, file: NamedFile) -> bool:
        """Whether this backup has the file: from a pass before, or before an interruption."""
        copied = self.copies.find(file.path)
        return (
            copied is not None
            and self._is_unchanged(file, copied)
            and _has_size(self.backup.files / file.path, copied.size_bytes)
        )

    def _is_linked(self, file: NamedFile) -> bool:
        """Whether the file is the one in the previous backup; then this one gets a link to it."""
        copied = None if self.previous is None else self.previous.files.find(file.path)
        if copied is None or not self._is_unchanged(file, copied):
            return False
        return self._link(copied)

    def _is_unchanged(self, file: NamedFile, copied: CopiedFile) -> bool:
        if file.dataset_digest is not None:
            return file.dataset_digest == copied.dataset_digest
        modified_at = self.modified_at.get(file.path)
        return modified_at is not None and modified_at == copied.modified_at

    def _link(self, copied: CopiedFile) -> bool:
        """Links a copy in the previous backup; False if that is not possible."""
        if self.previous is None:
            return False
        source = self.previous.backup.files / copied.path
        if not _has_size(source, copied.size_bytes):
            return False
        target = self._new_path(copied.path)
        try:
            os.link(source, target)
        except OSError:  # a file system without links, or too many links: the file is copied
            return False
        self.copies.add(copied)
        return True

    def _copy(self, files: list[NamedFile]) -> dict[str, str]:
        lost = {}
        paths = [self.site.data_dir / file.path for file in files]
        with ExitStack() as stack:
            local = stack.enter_context(self.site.files.local_copies(paths)) if paths else []
            for file, source in zip(files, local, strict=True):
                how = self._copy_one(file, source)
                if how is not None:
                    lost[file.path] = how
        return lost

    def _copy_one(self, file: NamedFile, source: Path) -> str | None:
        """Copies a file; returns how it is lost, or None."""
        try:
            content = source.read_bytes()
        except FileNotFoundError:
            return MISSING
        except OSError as error:
            return f"unreadable: {error.strerror}"
        if file.dataset_digest is not None and not _is_undamaged(content, file.dataset_digest):
            return DAMAGED
        modified_at = self.modified_at.get(file.path)
        is_settled = modified_at is not None and modified_at < self.now_s - _SETTLED_SECONDS
        copied = CopiedFile(
            file.path,
            len(content),
            hashlib.sha256(content).hexdigest(),
            file.dataset_digest,
            modified_at if is_settled else None,
        )
        earlier = None if self.previous is None else self.previous.files.find(file.path)
        if earlier is None or earlier.sha256 != copied.sha256 or not self._link(earlier):
            self._write(copied.path, content)
        self.copies.add(copied)
        return None

    def _write(self, path: str, content: bytes) -> None:
        with self._new_path(path).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _new_path(self, path: str) -> Path:
        """Returns a path at which nothing is; an earlier copy may be a link to another backup."""
        target = self.backup.files / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        return target


def is_inside(path: str) -> bool:
    """Whether the path of a row, or of a list of files, stays within its folder."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts


def _has_size(path: Path, size_bytes: int) -> bool:
    with suppress(OSError):
        return path.stat().st_size == size_bytes
    return False


def _is_undamaged(content: bytes, digest: str) -> bool:
    try:
        return has_digest(received_from_part10(content, _ORIGIN).dataset, digest)
    except Rejected:
        return False
