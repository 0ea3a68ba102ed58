"""File storage in the data folder, on a local disk or a network file system."""

import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from node.domain.errors import Transient
from node.store.files.durable import durable_file, sync_folder
from node.store.files.interface import StoredFile
from node.store.files.process_locks import cleaning, creating, is_abandoned, lock
from node.store.files.scratch import ScratchFolders
from node.store.group_commit import GroupCommit

# Size of the cache of folders known to be durable; a full cache is cleared.
_MAX_DURABLE_FOLDERS = 10_000
# The databases and a result need at least this much.
_PROBE_BYTES = 1 << 20


class DataFolder:
    """Files at their paths, for any number of threads and processes on any number of hosts.

    A new file is written under a temporary name, synced and linked to its name; then its folder is
    synced. A file with its final name is therefore always complete.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._incoming = self._data_dir / "incoming"
        self._scratch = ScratchFolders(self._data_dir / "at-hand")
        self._durable_folders: set[Path] = set()
        self._syncs = GroupCommit(_sync_folders)

    def add(self, path: Path, pieces: Sequence[bytes]) -> bool:
        """See `Files.add`."""
        with _os_errors_as_transient("a file cannot be stored"):
            self._make_durable(path.parent)
            with self._temporary_file(pieces) as temporary:
                try:
                    # Unlike a rename, a link never replaces a file that another writer has added.
                    os.link(temporary, path)
                except FileExistsError:
                    return False
            self._syncs.submit(path.parent)
        return True

    def put(self, path: Path, pieces: Sequence[bytes]) -> None:
        """See `Files.put`."""
        with _os_errors_as_transient("a file cannot be stored"), durable_file(path) as file:
            for piece in pieces:
                file.write(piece)

    def exists(self, path: Path) -> bool:
        """See `Files.exists`."""
        return path.is_file()

    def is_surely_new(self, path: Path) -> bool:
        """See `Files.is_surely_new`."""
        return not path.exists()

    @contextmanager
    def local_copies(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """See `Files.local_copies`: returns the paths themselves, without copying."""
        yield list(paths)

    def scratch_folder(self) -> AbstractContextManager[Path]:
        """See `Files.scratch_folder`."""
        return self._scratch.folder()

    def remove(self, paths: Collection[Path]) -> None:
        """See `Files.remove`; also removes folders that become empty."""
        with _os_errors_as_transient("a file cannot be deleted"):
            for path in paths:
                path.unlink(missing_ok=True)
        folders = {path.parent for path in paths}
        for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
            with suppress(OSError):  # not empty, or no permission
                folder.rmdir()

    def iter_files(self, folder: Path) -> Iterator[StoredFile]:
        """See `Files.iter_files`."""
        with _os_errors_as_transient("the files cannot be listed"):
            for parent, folders, names in os.walk(folder, onerror=_raise_unless_missing):
                folders.sort()
                for name in sorted(names):
                    path = Path(parent, name)
                    with suppress(FileNotFoundError):  # removed meanwhile
                        yield StoredFile(path, path.stat().st_mtime)

    def check_writable(self) -> None:
        """See `Files.check_writable`."""
        errors = _os_errors_as_transient(f"{self._data_dir} cannot be written")
        with errors, TemporaryFile(dir=self._data_dir) as probe:
            os.posix_fallocate(probe.fileno(), 0, _PROBE_BYTES)
            os.fsync(probe.fileno())

    def free_bytes(self) -> int:
        """See `Files.free_bytes`."""
        # The folder itself may not exist yet.
        existing = next(p for p in (self._data_dir, *self._data_dir.parents) if p.is_dir())
        with _os_errors_as_transient("the disk cannot be used"):
            return shutil.disk_usage(existing).free

    def remove_abandoned(self) -> int:
        """See `Files.remove_abandoned`."""
        removed = self._scratch.remove_abandoned()
        if not self._incoming.is_dir():
            return removed
        with cleaning(self._incoming) as files:
            for file in files:
                if file.suffix == ".part" and is_abandoned(file):
                    file.unlink(missing_ok=True)
                    removed += 1
        return removed

    @contextmanager
    def _temporary_file(self, pieces: Sequence[bytes]) -> Iterator[Path]:
        """Writes and syncs a temporary file; removes it when the block ends."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        with creating(self._incoming):
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
        # Another process may have created the folders and not synced them yet.
        sync_folder(folder.parent)
        sync_folder(folder.parent.parent)
        if len(self._durable_folders) >= _MAX_DURABLE_FOLDERS:
            self._durable_folders.clear()
        self._durable_folders.add(folder)


def _sync_folders(folders: Sequence[Path]) -> Sequence[None]:
    """Syncs each folder once, however many threads have added a file to it.

    An error is one for all of them: a sync that is repeated succeeds and proves nothing.
    """
    with _os_errors_as_transient("a file cannot be stored"):
        for folder in set(folders):
            sync_folder(folder)
    return [None] * len(folders)


def _raise_unless_missing(error: OSError) -> None:
    """Raises the error that keeps a folder from being read, unless the folder does not exist."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _os_errors_as_transient(failure: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = f" ({error.filename})" if error.filename is not None else ""
        raise Transient(f"{failure}: {error.strerror or error}{path}") from error
