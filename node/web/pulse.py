"""Whether the node's other processes are there, as far as this one can see."""

import fcntl
import shutil
from pathlib import Path

from node.settings import Settings

# Below this a large CT and its result may not fit any more.
_LEAST_FREE_BYTES = 1 << 30


def problem_of(settings: Settings) -> str:
    """What keeps the node from its work and what to do about it; empty when nothing does."""
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return f"The data folder {settings.data_dir} cannot be used: {error.strerror}."
    if free < _LEAST_FREE_BYTES:
        return (
            f"Less than 1 GiB is free in {settings.data_dir}; soon nothing more can be received. "
            "Make room there."
        )
    # Several hosts share a PostgreSQL database, and the worker may be on another one.
    if settings.database_url.startswith("sqlite") and not _has_worker(settings.data_dir):
        return (
            "The worker is not running: series are received, but not processed. "
            "Start the node with “segnode serve”, and look at its log."
        )
    return ""


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
