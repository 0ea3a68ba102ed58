"""Temporary folders that never outlive the process that uses them."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.domain.errors import Transient
from node.store.files.process_locks import cleaning, creating, is_abandoned, lock


class ScratchFolders:
    """Creates temporary folders in `root`, for any number of threads and processes of this host."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Creates an empty folder and deletes it when the block ends.

        Raises:
            Transient: the disk cannot be written.
        """
        folder = self._root / uuid.uuid4().hex
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with creating(self._root):
                folder.mkdir(mode=0o700)
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                lock(handle)
        except OSError as error:
            raise Transient(
                f"no temporary folder can be created: {error.strerror} ({self._root})"
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)

    def remove_abandoned(self) -> int:
        """Deletes the folders of dead processes; returns their number."""
        if not self._root.is_dir():
            return 0
        with cleaning(self._root) as folders:
            abandoned = [folder for folder in folders if is_abandoned(folder)]
            for folder in abandoned:
                shutil.rmtree(folder, ignore_errors=True)
        return len(abandoned)
