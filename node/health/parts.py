"""Checks of the parts that the node cannot do without: storage, database, listener, worker."""

from collections.abc import Callable
from datetime import datetime, timedelta

from node.domain.errors import Transient
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.texts.numbers import rounded_beside
from node.runtime.locks import LockedProcess, is_running, process_lock_file
from node.settings import Settings
from node.store import Store

_GIB = 1 << 30
# Ten heartbeats. With the time until the next check, a hung worker is found within a minute.
_MAX_HEARTBEAT_AGE = timedelta(seconds=20)
# Workers run on other hosts, whose clocks may differ slightly.
_MAX_HEARTBEAT_AGE_OF_OTHER_HOSTS = timedelta(minutes=1)


def node_problem(settings: Settings, store: Store, now: datetime) -> str:
    """The first problem that stops the node, and its remedy; empty if there is none.

    Raises:
        Transient: the database does not answer.
    """
    problem = (
        files_problem(settings, store)
        or database_problem(store)
        or listener_problem(settings)
        or worker_problem(settings, store, now)
    )
    return "" if problem is None else full_text(problem)


def part_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """The problems of all parts; after one of the database, those that it knows are left out."""
    checks: tuple[Callable[[], Problem | None], ...] = (
        lambda: files_problem(settings, store),
        lambda: database_problem(store),
        lambda: listener_problem(settings),
        lambda: worker_problem(settings, store, now),
    )
    problems: list[Problem] = []
    for check in checks:
        try:
            problem = check()
        except Transient as error:
            problem = database_gone(error)
        if problem is not None and problem.key not in {found.key for found in problems}:
            problems.append(problem)
    return problems


def full_text(problem: Problem) -> str:
    """The problem and its remedy in one paragraph."""
    return f"{problem.text} {problem.remedy}".strip()


def files_problem(settings: Settings, store: Store) -> Problem | None:
    """The problem with the storage of images and results; None if there is none."""
    try:
        store.files.check_writable()
        free = store.files.free_bytes()
    except Transient as error:
        return _critical(
            ProblemKind.STORAGE,
            f"Nothing is received or finished: {error}.",
            "Free space there, or make it writable; the node then continues by itself.",
        )
    if free is None or free >= settings.min_free_bytes:
        return None
    return _critical(
        ProblemKind.STORAGE,
        f"Nothing more is received: only "
        f"{rounded_beside(free / _GIB, settings.least_free_gib, decimals=1)} GiB are free in "
        f"{settings.data_dir}, "
        f"and {settings.least_free_gib:g} GiB must stay free.",
        "Free space there, or move data_dir.",
    )


def database_problem(store: Store) -> Problem | None:
    """The problem that prevents writing to the database; None if there is none."""
    try:
        store.check_writable()
    except Transient as error:
        return database_gone(error)
    return None


def database_gone(error: Transient) -> Problem:
    """The problem of a database that does not answer or cannot be written."""
    return _critical(
        ProblemKind.DATABASE,
        f"Nothing is received or finished: {error}.",
        "Check whether another program locks the database, and whether it is full or read-only; "
        "the node then continues by itself.",
    )


def listener_problem(settings: Settings) -> Problem | None:
    """Whether the listener is missing; None if it runs, or never ran at this site."""
    data_dir = settings.data_dir
    never_ran = not process_lock_file(LockedProcess.LISTENER, data_dir).exists()
    # When hosts share a database, each host knows its own listener only.
    if not settings.is_embedded or never_ran or is_running(LockedProcess.LISTENER, data_dir):
        return None
    return _critical(
        ProblemKind.LISTENER_MISSING,
        "The listener is not running: nothing is received by C-STORE.",
        "Start the node with “segnode serve”, and read its log.",
    )


def worker_problem(settings: Settings, store: Store, now: datetime) -> Problem | None:
    """Whether the worker is missing or hangs; None if one works.

    Raises:
        Transient: the database does not answer.
    """
    if not settings.is_embedded:
        newest = max((w.last_heartbeat_at for w in store.workers()), default=None)
        if newest is not None and now - newest < _MAX_HEARTBEAT_AGE_OF_OTHER_HOSTS:
            return None
        return _worker_missing()
    if not is_running(LockedProcess.WORKER, settings.data_dir):
        return _worker_missing()
    # While the worker starts, it has no entry.
    silent = [w for w in store.workers() if now - w.last_heartbeat_at >= _MAX_HEARTBEAT_AGE]
    if not silent:
        return None
    return _critical(
        ProblemKind.WORKER_MISSING,
        "The worker hangs: it runs, but gives no sign of life. Series are received, but not "
        "processed.",
        "Restart the node, and read its log.",
        silent[0].last_heartbeat_at,
    )


def _worker_missing() -> Problem:
    return _critical(
        ProblemKind.WORKER_MISSING,
        "The worker is not running: series are received, but not processed.",
        "Start the node with “segnode serve”, and read its log.",
    )


def _critical(kind: ProblemKind, text: str, remedy: str, since: datetime | None = None) -> Problem:
    return Problem(kind, "", Urgency.CRITICAL, text, remedy, since)
