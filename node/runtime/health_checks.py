"""Whether the node can work: room on the disk, and its processes, as far as this one can see."""

from datetime import datetime, timedelta

from node.domain.errors import Transient
from node.runtime.locks import Part, is_running, process_lock_file
from node.settings import Settings
from node.store import Store

_GIB = 1 << 30
# Of workers on other hosts, whose clocks may differ a little from ours.
_LONGEST_SILENCE = timedelta(minutes=1)


def node_problem(settings: Settings, store: Store, now: datetime) -> str:
    """What keeps the node from its work and what to do about it; empty when nothing does.

    Raises:
        Transient: the database does not answer.
    """
    return (
        files_problem(settings, store)
        or database_problem(store)
        or listener_problem(settings)
        or worker_problem(settings, store, now)
    )


def files_problem(settings: Settings, store: Store) -> str:
    """What is wrong with the place of images and results; empty when nothing is."""
    try:
        store.files.check_writable()
        free = store.files.free_bytes()
    except Transient as error:
        return (
            f"Nothing is received or finished: {error}. Make room there, or have it writable; the "
            "node then goes on by itself."
        )
    if free is None or free >= settings.min_free_bytes:
        return ""
    return (
        f"Nothing more is received: only {free / _GIB:.1f} GiB are free in {settings.data_dir}, "
        f"and {settings.least_free_gib:g} GiB are to stay free. Make room there, or move data_dir."
    )


def database_problem(store: Store) -> str:
    """What keeps the database from being written; empty when nothing does."""
    try:
        store.check_writable()
    except Transient as error:
        return (
            f"Nothing is received or finished: {error}. See whether another program holds the "
            "database, and whether it is full or read-only; the node then goes on by itself."
        )
    return ""


def listener_problem(settings: Settings) -> str:
    """Whether the listener is missing; empty when it is there, or never was at this site."""
    data_dir = settings.data_dir
    never = not process_lock_file(Part.LISTENER, data_dir).exists()
    # Where hosts share a database, each knows its own listener alone.
    if not settings.is_embedded or never or is_running(Part.LISTENER, data_dir):
        return ""
    return (
        "The listener is not running: nothing is received by C-STORE. "
        "Start the node with “segnode serve”, and look at its log."
    )


def worker_problem(settings: Settings, store: Store, now: datetime) -> str:
    """Whether no worker is there; empty when one is.

    Raises:
        Transient: the workers are on other hosts perhaps, and the database does not answer.
    """
    if settings.is_embedded:
        works = is_running(Part.WORKER, settings.data_dir)
    else:
        works = any(now - worker.last_heartbeat_at < _LONGEST_SILENCE for worker in store.workers())
    if works:
        return ""
    return (
        "The worker is not running: series are received, but not processed. "
        "Start the node with “segnode serve”, and look at its log."
    )
