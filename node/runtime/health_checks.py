"""Health checks: disk space, database, listener and worker."""

from datetime import datetime, timedelta

from node.domain.errors import Transient
from node.runtime.locks import LockedProcess, is_running, process_lock_file
from node.settings import Settings
from node.store import Store

_GIB = 1 << 30
# Workers run on other hosts, whose clocks may differ slightly.
_MAX_HEARTBEAT_AGE = timedelta(minutes=1)


def node_problem(settings: Settings, store: Store, now: datetime) -> str:
    """The first problem that stops the node, and its remedy; empty if there is none.

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
    """The problem with the storage of images and results; empty if there is none."""
    try:
        store.files.check_writable()
        free = store.files.free_bytes()
    except Transient as error:
        return (
            f"Nothing is received or finished: {error}. Free space there, or make it writable; the "
            "node then continues by itself."
        )
    if free is None or free >= settings.min_free_bytes:
        return ""
    return (
        f"Nothing more is received: only {free / _GIB:.1f} GiB are free in {settings.data_dir}, "
        f"and {settings.least_free_gib:g} GiB must stay free. Free space there, or move data_dir."
    )


def database_problem(store: Store) -> str:
    """The problem that prevents writing to the database; empty if there is none."""
    try:
        store.check_writable()
    except Transient as error:
        return (
            f"Nothing is received or finished: {error}. Check whether another program locks "
            "the database, and whether it is full or read-only; the node then continues by itself."
        )
    return ""


def listener_problem(settings: Settings) -> str:
    """Whether the listener is missing; empty if it runs, or never ran at this site."""
    data_dir = settings.data_dir
    never_ran = not process_lock_file(LockedProcess.LISTENER, data_dir).exists()
    # When hosts share a database, each host knows its own listener only.
    if not settings.is_embedded or never_ran or is_running(LockedProcess.LISTENER, data_dir):
        return ""
    return (
        "The listener is not running: nothing is received by C-STORE. "
        "Start the node with “segnode serve”, and read its log."
    )


def worker_problem(settings: Settings, store: Store, now: datetime) -> str:
    """Whether the worker is missing; empty if one runs.

    Raises:
        Transient: the database does not answer (workers may run on other hosts).
    """
    if settings.is_embedded:
        runs = is_running(LockedProcess.WORKER, settings.data_dir)
    else:
        runs = any(
            now - worker.last_heartbeat_at < _MAX_HEARTBEAT_AGE for worker in store.workers()
        )
    if runs:
        return ""
    return (
        "The worker is not running: series are received, but not processed. "
        "Start the node with “segnode serve”, and read its log."
    )
