"""Whether the node can work: room on the disk, and its processes, as far as this one can see."""

import shutil

from node.presence import Part, is_running, lock_of
from node.settings import Settings

_GIB = 1 << 30


def problem_of(settings: Settings) -> str:
    """What keeps the node from its work and what to do about it; empty when nothing does."""
    return disk_problem(settings) or listener_problem(settings) or worker_problem(settings)


def disk_problem(settings: Settings) -> str:
    """What is wrong with the place of the data; empty when nothing is."""
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return f"The data folder {settings.data_dir} cannot be used: {error.strerror}."
    if free >= settings.least_free_bytes:
        return ""
    return (
        f"Nothing more is received: only {free / _GIB:.1f} GiB are free in {settings.data_dir}, "
        f"and {settings.least_free_gib:g} GiB are to stay free. Make room there, or move data_dir."
    )


def listener_problem(settings: Settings) -> str:
    """Whether the listener is missing; empty when it is there, or never was at this site."""
    data_dir = settings.data_dir
    never = not lock_of(Part.LISTENER, data_dir).exists()
    if _may_be_elsewhere(settings) or never or is_running(Part.LISTENER, data_dir):
        return ""
    return (
        "The listener is not running: nothing is received by C-STORE. "
        "Start the node with “segnode serve”, and look at its log."
    )


def worker_problem(settings: Settings) -> str:
    """Whether the worker is missing; empty when it is there, or may be on another host."""
    if _may_be_elsewhere(settings) or is_running(Part.WORKER, settings.data_dir):
        return ""
    return (
        "The worker is not running: series are received, but not processed. "
        "Start the node with “segnode serve”, and look at its log."
    )


def _may_be_elsewhere(settings: Settings) -> bool:
    # Several hosts can share a PostgreSQL database; an embedded one has all parts beside it.
    return not settings.database_url.startswith("sqlite")
