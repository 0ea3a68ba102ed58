"""Atomic and durable file writes: a file with its final name is complete and synced."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from node.store.files.access import Readers, set_folder_mode


@contextmanager
def durable_file(path: Path, readers: Readers = Readers.OWNER) -> Iterator[BinaryIO]:
    """Opens a file for writing; syncs it and renames it to `path` when the block ends.

    An earlier file at `path` is replaced. Missing folders are created, for the same `readers`
    as the file. If the block raises, `path` stays unchanged.

    Raises:
        OSError: no space, no permission.
    """
    _make_durable_folder(path.parent, readers)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            os.fchmod(file.fileno(), readers.file_mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _make_durable_folder(folder: Path, readers: Readers) -> None:
    """Creates the folder and its missing parents, and syncs each one's parent."""
    if folder.is_dir():
        return
    _make_durable_folder(folder.parent, readers)
    try:
        folder.mkdir()
    except FileExistsError:  # another process has created it
        return
    set_folder_mode(folder, readers)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Syncs the directory entries of a folder to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
