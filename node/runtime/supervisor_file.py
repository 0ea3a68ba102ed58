"""Files in the data folder by which `segnode reload` finds the supervisors of this host."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_supervisor_file(data_dir: Path) -> Iterator[None]:
    """Holds the file of this process, whose name has the host and the process id."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / f"{_prefix()}{os.getpid()}.lock"
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def running_supervisors(data_dir: Path) -> list[int]:
    """Returns the process ids of the supervisors that run on this host over this folder."""
    found = []
    for path in sorted(data_dir.glob(f"{_prefix()}*.lock")):
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(int(path.stem.removeprefix(_prefix())))
    return found


def _prefix() -> str:
    # Hosts may share the folder.
    return f"supervisor-{socket.gethostname()}-"
