"""Which of the node's processes run over a data folder: each holds a lock there while it does."""

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

# A worker that was killed a moment ago lets go of its lock as soon as the system has ended it.
_LOCK_SECONDS = 10.0
_LOCK_POLL_SECONDS = 0.1


class Part(StrEnum):
    """A process that holds a lock."""

    LISTENER = "listener"
    WORKER = "worker"


def process_lock_file(part: Part, data_dir: Path) -> Path:
    """The file that is locked; it is there once the part has run here."""
    return data_dir / f"{part}.lock"


@contextmanager
def hold_process_lock(part: Part, data_dir: Path) -> Iterator[None]:
    """Hold the lock, together with others of the same part."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = process_lock_file(part, data_dir)
    path.touch()
    with path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def is_running(part: Part, data_dir: Path) -> bool:
    """Whether a process of that part holds its lock."""
    try:
        with process_lock_file(part, data_dir).open("rb") as lock:
            # Gone at once: one that starts just now waits, or tries again.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


@contextmanager
def lock_single_worker(data_dir: Path) -> Iterator[str]:
    """Hold the lock that one worker alone can hold; the name of its place.

    Raises:
        Misconfigured: another worker holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + _LOCK_SECONDS
    pause = threading.Event()
    with process_lock_file(Part.WORKER, data_dir).open("wb") as lock:
        while not _locked(lock.fileno()):
            if time.monotonic() > end:
                raise Misconfigured(f"another worker uses {data_dir}", key="data_dir")
            pause.wait(_LOCK_POLL_SECONDS)
        yield Part.WORKER.value


@contextmanager
def lock_numbered_worker(data_dir: Path, host: str) -> Iterator[str]:
    """Hold the first free place of a worker on `host`; its name.

    A worker that is started again after a fall takes its old place. No other place has that name,
    even where hosts with data folders of their own are called the same.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        with (data_dir / f"worker-{host}-{number}.lock").open("a+", encoding="ascii") as lock:
            if _locked(lock.fileno()):
                lock.seek(0)
                mark = lock.read()
                if not mark:
                    mark = uuid.uuid4().hex[:8]
                    lock.write(mark)
                    lock.flush()
                yield f"{host}-{number}-{mark}"
                return


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
