"""The data folder itself, on a disk of this machine or a network file system."""

import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from node.domain.errors import Transient
from node.store.files.abandoned import cleaning, is_abandoned, lock, making
from node.store.files.durable import durable_file, sync_folder
from node.store.files.interface import KeptFile

# Folders known to be durable are remembered up to this number, then learnt anew.
_MOST_REMEMBERED_FOLDERS = 10_000
# What the databases and a result need at the least.
_PROBE_BYTES = 1 << 20


class DataFolder:
    """Files at their paths, for any number of threads and processes on any number of hosts.

    A new file is written under a temporary name, synced, given its name, and its folder synced;
    so a file with its name is always whole.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._incoming = self._data_dir / "incoming"
        self._durable_folders: set[Path] = set()

    def add(self, path: Path, pieces: Sequence[bytes]) -> bool:
        """See `Files.add`."""
        with _told_as_transient("a file cannot be kept"):
            self._make_durable(path.parent)
            with self._written_and_synced(pieces) as temporary:
                try:
                    # Unlike a rename, a link never replaces what another has just put there.
                    os.link(temporary, path)
                except FileExistsError:
                    return False
            sync_folder(path.parent)
        return True

    def put(self, path: Path, pieces: Sequence[bytes]) -> None:
        """See `Files.put`."""
        with _told_as_transient("a file cannot be kept"), durable_file(path) as file:
            for piece in pieces:
                file.write(piece)

    def holds(self, path: Path) -> bool:
        """See `Files.holds`."""
        return path.is_file()

    @contextmanager
    def at_hand(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """See `Files.at_hand`: they are where they are kept."""
        yield list(paths)

    def remove(self, paths: Collection[Path]) -> None:
        """See `Files.remove`; folders that become empty go with them."""
        with _told_as_transient("a file cannot be deleted"):
            for path in paths:
                path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            with suppress(OSError):  # not empty, or not ours
                folder.rmdir()

    def below(self, folder: Path) -> Iterator[KeptFile]:
        """See `Files.below`."""
        with _told_as_transient("the files cannot be looked through"):
            for place, folders, names in os.walk(folder, onerror=_unless_gone):
                folders.sort()
                for name in sorted(names):
                    path = Path(place, name)
                    with suppress(FileNotFoundError):  # removed meanwhile
                        yield KeptFile(path, path.stat().st_mtime)

    def check_writable(self) -> None:
        """See `Files.check_writable`."""
        told = _told_as_transient(f"{self._data_dir} cannot be written")
        with told, TemporaryFile(dir=self._data_dir) as probe:
            os.posix_fallocate(probe.fileno(), 0, _PROBE_BYTES)
            os.fsync(probe.fileno())

    def free_bytes(self) -> int:
        """See `Files.free_bytes`."""
        # The folder itself may not be there yet.
        place = next(p for p in (self._data_dir, *self._data_dir.parents) if p.is_dir())
        with _told_as_transient("the disk cannot be used"):
            return shutil.disk_usage(place).free

    def remove_leftovers(self) -> int:
        """See `Files.remove_leftovers`."""
        if not self._incoming.is_dir():
            return 0
        removed = 0
        with cleaning(self._incoming) as files:
            for file in files:
                if file.suffix == ".part" and is_abandoned(file):
                    file.unlink(missing_ok=True)
                    removed += 1
        return removed

    @contextmanager
    def _written_and_synced(self, pieces: Sequence[bytes]) -> Iterator[Path]:
        """A temporary file with all of it; it is gone when the block is left."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        with making(self._incoming):
            file = path.open("xb")
            lock(file.fileno())
        try:
            with file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                yield path
        finally:
            path.unlink(missing_ok=True)

    def _make_durable(self, folder: Path) -> None:
        if folder in self._durable_folders and folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever has made them may not have come to this yet.
        sync_folder(folder.parent)
        sync_folder(folder.parent.parent)
        if len(self._durable_folders) >= _MOST_REMEMBERED_FOLDERS:
            self._durable_folders.clear()
        self._durable_folders.add(folder)


def _unless_gone(error: OSError) -> None:
    """Raise what keeps a folder from being read, unless it was never made or is removed."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _told_as_transient(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename is not None else ""
        raise Transient(f"{what}: {error.strerror or error}{place}") from error
