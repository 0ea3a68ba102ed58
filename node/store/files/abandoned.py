"""Telling what a process has left behind when it died from what another is at work on.

What is at work is locked by its process, which the system unlocks when that ends, however it ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GATE = "gate.lock"


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Held while something is made there and locked, so that no cleaner sees it unlocked."""
    with _gate(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def cleaning(folder: Path) -> Iterator[list[Path]]:
    """Held while the folder is cleaned; what is in it, in use or not."""
    with _gate(folder, fcntl.LOCK_EX):
        yield sorted(path for path in folder.iterdir() if path.name != _GATE)


def lock(handle: int) -> None:
    """Mark an open file or folder as in use by this process."""
    fcntl.flock(handle, fcntl.LOCK_EX)


def is_abandoned(path: Path) -> bool:
    """Whether no process has it in use any more."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # just given its name, or removed
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


@contextmanager
def _gate(folder: Path, kind: int) -> Iterator[None]:
    with (folder / _GATE).open("wb") as gate:
        fcntl.flock(gate, kind)
        yield
