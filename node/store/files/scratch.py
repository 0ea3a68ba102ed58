"""Folders that last as long as they are needed, and no longer than the process that needs them."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.domain.errors import Transient
from node.store.files.abandoned import cleaning, is_abandoned, lock, making


class Scratch:
    """Makes folders in `place`, for any number of threads and processes of this machine."""

    def __init__(self, place: Path) -> None:
        self._place = place

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new and empty folder; it is deleted when the block is left.

        Raises:
            Transient: the disk cannot be written.
        """
        made = self._place / uuid.uuid4().hex
        try:
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            with making(self._place):
                made.mkdir(mode=0o700)
                handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
                lock(handle)
        except OSError as error:
            raise Transient(f"no room to work in: {error.strerror} ({self._place})") from error
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
            os.close(handle)

    def remove_abandoned(self) -> int:
        """Delete the folders of processes that died; how many there were."""
        if not self._place.is_dir():
            return 0
        with cleaning(self._place) as folders:
            abandoned = [folder for folder in folders if is_abandoned(folder)]
            for folder in abandoned:
                shutil.rmtree(folder, ignore_errors=True)
        return len(abandoned)
