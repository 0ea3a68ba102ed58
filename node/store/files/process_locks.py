"""Locks that distinguish files in use by a process from files that a dead process left behind.

A process locks what it uses. The operating system releases the lock when the process ends, however
it ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK_FILE = "gate.lock"


@contextmanager
def creating(folder: Path) -> Iterator[None]:
    """Held while a process creates and locks a file, so that no cleanup sees it unlocked."""
    with _folder_lock(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def cleaning(folder: Path) -> Iterator[list[Path]]:
    """Held while the folder is cleaned; yields its contents, in use or not."""
    with _folder_lock(folder, fcntl.LOCK_EX):
        yield sorted(path for path in folder.iterdir() if path.name != _LOCK_FILE)


def lock(handle: int) -> None:
    """Marks an open file or folder as in use by this process."""
    fcntl.flock(handle, fcntl.LOCK_EX)


def is_abandoned(path: Path) -> bool:
    """Whether the file or folder exists and no process has it in use."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # renamed or removed meanwhile
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


@contextmanager
def _folder_lock(folder: Path, operation: int) -> Iterator[None]:
    with (folder / _LOCK_FILE).open("wb") as lock_file:
        fcntl.flock(lock_file, operation)
        yield
