"""Whether the node can work: room on the disk, and a worker, as far as this process can see."""

import fcntl
import shutil
from pathlib import Path

from node.settings import Settings

# Below this a large CT and its result may not fit any more.
_LEAST_FREE_BYTES = 1 << 30
_GIB = 1 << 30


def problem_of(settings: Settings) -> str:
    """What keeps the node from its work and what to do about it; empty when nothing does."""
    return disk_problem(settings.data_dir) or worker_problem(settings)


def disk_problem(data_dir: Path) -> str:
    """What is wrong with the place of the data; empty when nothing is."""
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        return f"The data folder {data_dir} cannot be used: {error.strerror}."
    if free >= _LEAST_FREE_BYTES:
        return ""
    return (
        f"Only {free / _GIB:.1f} GiB are free in {data_dir}; soon nothing more can be received. "
        "Make room there, or move data_dir."
    )


def worker_problem(settings: Settings) -> str:
    """Whether the worker is missing; empty when it is there, or may be on another host."""
    # Several hosts can share a PostgreSQL database; an embedded one has its worker beside it.
    if not settings.database_url.startswith("sqlite") or _has_worker(settings.data_dir):
        return ""
    return (
        "The worker is not running: series are received, but not processed. "
        "Start the node with “segnode serve”, and look at its log."
    )


def _has_worker(data_dir: Path) -> bool:
    """Whether a worker holds the data folder's lock."""
    try:
        with (data_dir / "worker.lock").open("rb") as lock:
            # Shared, and gone at once: a worker that starts just now tries again.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
