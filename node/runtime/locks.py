"""File locks in the data folder that show which processes of the node run."""

import fcntl
import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from node.domain.errors import Misconfigured

# The system releases the lock of a killed worker once the process has ended.
_LOCK_TIMEOUT_SECONDS = 10.0
_LOCK_POLL_SECONDS = 0.1


class LockedProcess(StrEnum):
    """A process role that holds a lock."""

    LISTENER = "listener"
    WORKER = "worker"


def process_lock_file(process: LockedProcess, data_dir: Path) -> Path:
    """The lock file; it exists once the process has run here."""
    return data_dir / f"{process}.lock"


@contextmanager
def hold_process_lock(process: LockedProcess, data_dir: Path) -> Iterator[None]:
    """Holds the lock, shared with other processes of the same role."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = process_lock_file(process, data_dir)
    path.touch()
    with path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def is_running(process: LockedProcess, data_dir: Path) -> bool:
    """Whether a process of that role holds its lock."""
    try:
        with process_lock_file(process, data_dir).open("rb") as lock:
            # Released immediately; a process that starts at this moment waits or retries.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


@contextmanager
def lock_single_worker(data_dir: Path) -> Iterator[str]:
    """Holds the exclusive worker lock; yields the worker's slot name.

    Raises:
        Misconfigured: another worker holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    pause = threading.Event()
    with process_lock_file(LockedProcess.WORKER, data_dir).open("wb") as lock:
        while not _try_lock(lock.fileno()):
            if time.monotonic() > deadline:
                raise Misconfigured(f"another worker uses {data_dir}", key="data_dir")
            pause.wait(_LOCK_POLL_SECONDS)
        yield LockedProcess.WORKER.value


@contextmanager
def lock_numbered_worker(data_dir: Path, host: str) -> Iterator[str]:
    """Holds the first free worker slot on `host`; yields the slot's name.

    A restarted worker gets its old slot. The name is unique, even when hosts with separate data
    folders share a host name.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        with (data_dir / f"worker-{host}-{number}.lock").open("a+", encoding="ascii") as lock:
            if _try_lock(lock.fileno()):
                lock.seek(0)
                suffix = lock.read()
                if not suffix:
                    suffix = uuid.uuid4().hex[:8]
                    lock.write(suffix)
                    lock.flush()
                yield f"{host}-{number}-{suffix}"
                return


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
