"""Periodic tasks of a process, independent of changes to the system clock (APScheduler)."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from node.domain.error_classification import Defect, attempt

_LOG = structlog.get_logger()
# NTP adjusts a clock by less than this at a time.
_CLOCK_JUMP_SECONDS = 2.0
# More than any site has tasks; a thread starts when a task needs it.
_MAX_THREADS = 1000


@dataclass
class _Task:
    """Runs a periodic task and logs a failure once, when it starts."""

    name: str
    run: Callable[[], None]
    _error: str = ""

    def __call__(self) -> None:
        failure = attempt(self.run)
        error = "" if failure is None else str(failure)
        if failure is not None and error != self._error:
            trace = failure.trace if isinstance(failure, Defect) else ""
            _LOG.error("timer.failed", timer=self.name, error=error, trace=trace)
        self._error = error


@dataclass
class Timers:
    """Runs each task at its interval on a thread of its own; a slow run skips the next ones."""

    _interval_s: dict[str, float] = field(default_factory=dict)
    _clock_offset_s: float = 0.0  # system clock minus monotonic clock
    _replaceable: set[str] = field(default_factory=set)
    _is_replacing: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None}
        )

    def add(self, name: str, seconds: float, run: Callable[[], None]) -> None:
        """Adds a task that runs every `seconds`."""
        with self._lock:
            self._interval_s[name] = seconds
            if self._is_replacing:
                self._replaceable.add(name)
            self._scheduler.add_job(
                _Task(name, run), "interval", seconds=seconds, id=name, replace_existing=True
            )

    def add_with_first_run(
        self, name: str, seconds: float, run: Callable[[], None], *, first_after_s: float
    ) -> None:
        """Adds a task that runs after `first_after_s`, then every `seconds`."""
        self.add(name, seconds, run)
        first = datetime.now(UTC) + timedelta(seconds=first_after_s)
        self._scheduler.modify_job(name, next_run_time=first)

    def run_soon(self, name: str) -> None:
        """Runs a task now unless it runs already; its interval starts again. Unknown: no effect."""
        self.run_after(name, 0.0)

    def run_after(self, name: str, seconds: float) -> None:
        """Makes the next run of a task follow after `seconds`, then one at its interval again.

        A task that no longer exists is left alone.
        """
        with self._lock, suppress(JobLookupError):
            next_run_time = datetime.now(UTC) + timedelta(seconds=seconds)
            self._scheduler.modify_job(name, next_run_time=next_run_time)

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Replaces the tasks that the last such block added by those that this block adds.

        A run that goes on ends normally. A task starts again only after the run of the one with
        the same name that it replaces.
        """
        with self._lock:
            earlier, self._replaceable = self._replaceable, set()
            self._is_replacing = True
            try:
                yield
            finally:
                self._is_replacing = False
            for name in earlier - self._replaceable:
                del self._interval_s[name]
                self._scheduler.remove_job(name)

    def start(self) -> None:
        """Starts the timers."""
        # A task that waits for a slow peer must not hold up the others.
        self._scheduler.add_executor(ThreadPoolExecutor(_MAX_THREADS))
        self._clock_offset_s = time.time() - time.monotonic()
        self._scheduler.start()

    def handle_clock_change(self) -> None:
        """Reschedules every task after the system clock was set back; call it every second or so.

        APScheduler stores the next run as a time of day, and would wait until the clock reaches it
        again.
        """
        offset_s = time.time() - time.monotonic()
        set_back_s, self._clock_offset_s = self._clock_offset_s - offset_s, offset_s
        if set_back_s < _CLOCK_JUMP_SECONDS:
            return
        _LOG.warning("clock.set_back", seconds=round(set_back_s))
        with self._lock:
            for name, seconds in self._interval_s.items():
                # A new trigger, because a trigger starts at a time of day, too.
                self._scheduler.reschedule_job(name, trigger=IntervalTrigger(seconds=seconds))

    def stop(self) -> None:
        """Starts no further run."""
        self._scheduler.shutdown(wait=False)
