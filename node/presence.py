"""Which of the node's processes run over a data folder: each holds a lock there while it does."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path


class Part(StrEnum):
    """A process that holds a lock."""

    LISTENER = "listener"
    WORKER = "worker"


def lock_of(part: Part, data_dir: Path) -> Path:
    """The file that is locked; it is there once the part has run here."""
    return data_dir / f"{part}.lock"


@contextmanager
def announced(part: Part, data_dir: Path) -> Iterator[None]:
    """Hold the lock, together with others of the same part."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = lock_of(part, data_dir)
    path.touch()
    with path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def is_running(part: Part, data_dir: Path) -> bool:
    """Whether a process of that part holds its lock."""
    try:
        with lock_of(part, data_dir).open("rb") as lock:
            # Gone at once: one that starts just now waits, or tries again.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
