"""The worker's timers: what it looks at again and again, whatever the clock does (APScheduler)."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from node.domain.failures import Defect, attempt

_LOG = structlog.get_logger()
# A clock that is kept by NTP moves by less at a time.
_JUMP_SECONDS = 2.0


@dataclass
class _Look:
    """One that is taken again and again; a failure is told when it begins, not each time."""

    name: str
    look: Callable[[], None]
    _told: str = ""

    def __call__(self) -> None:
        failure = attempt(self.look)
        told = "" if failure is None else str(failure)
        if told != self._told and failure is not None:
            trace = failure.trace if isinstance(failure, Defect) else ""
            _LOG.error("look.failed", look=self.name, error=told, trace=trace)
        self._told = told


@dataclass
class Looks:
    """Each in a thread of a pool, at its interval; one that takes longer leaves out the next."""

    _seconds: dict[str, float] = field(default_factory=dict)
    _clock_ahead_s: float = 0.0  # of the even clock, when last looked at

    def __post_init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None}
        )

    def add(self, name: str, seconds: float, look: Callable[[], None]) -> None:
        """Have `look` taken every so many seconds."""
        self._seconds[name] = seconds
        self._scheduler.add_job(_Look(name, look), "interval", seconds=seconds, id=name)

    def start(self) -> None:
        """Begin."""
        self._clock_ahead_s = time.time() - time.monotonic()
        self._scheduler.start()

    def handle_clock_change(self) -> None:
        """To be called every second or so: goes on where the time of day was set back.

        The library knows each next look by its time of day, and would wait until it is that late
        again.
        """
        ahead_s = time.time() - time.monotonic()
        set_back_s, self._clock_ahead_s = self._clock_ahead_s - ahead_s, ahead_s
        if set_back_s < _JUMP_SECONDS:
            return
        _LOG.warning("clock.set_back", seconds=round(set_back_s))
        for name, seconds in self._seconds.items():
            # Anew, as a trigger begins at a time of day, too.
            self._scheduler.reschedule_job(name, trigger=IntervalTrigger(seconds=seconds))

    def stop(self) -> None:
        """Begin no further look."""
        self._scheduler.shutdown(wait=False)
