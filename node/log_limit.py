"""A limit on the lines of a log: no sender fills the disk with them, or hides those of others."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from structlog.typing import EventDict, WrappedLogger

_LOG = structlog.get_logger()
# Of one event from one sender, and of one event, within a period. More than a busy site needs: a
# scanner opens an association for each series.
MAX_LINES_OF_SENDER = 100
MAX_LINES_OF_EVENT = 500
PERIOD_SECONDS = 60.0
_LIMITED, _LEFT_OUT = "log.limited", "log.lines_left_out"
_SENDERS = ("address", "client", "calling_ae")


@dataclass
class _Period:
    """The lines of one event since `began_at`."""

    began_at: float
    lines: int = 0
    left_out: int = 0
    of_senders: Counter[str] = field(default_factory=Counter)

    def admits(self, sender: str, processes: int) -> bool:
        """Counts a line; returns whether it is written by one of so many processes."""
        max_of_event = MAX_LINES_OF_EVENT // processes
        if self.lines < max_of_event and self.of_senders[sender] < MAX_LINES_OF_SENDER // processes:
            self.lines += 1
            self.of_senders[sender] += 1
            return True
        self.left_out += 1
        return False


class LogLimit:
    """Leaves out what exceeds the limits; says when it begins to, and afterwards how many lines.

    It does not limit the level debug, which a site enables to see everything.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._periods: dict[str, _Period] = {}
        self._lock = threading.Lock()
        self._processes = 1

    def divide(self, processes: int) -> None:
        """Leaves this process its part of the lines; so many processes have the same senders."""
        self._processes = processes

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """A processor of structlog.

        Raises:
            DropEvent: the line is left out.
        """
        name = str(event.get("event"))
        if method == "debug" or name in (_LIMITED, _LEFT_OUT):
            return event
        sender = next((str(event[key]) for key in _SENDERS if event.get(key)), "")
        if not self._admits(name, sender):
            raise structlog.DropEvent
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """A filter of `logging`, for the lines of libraries: each logger is an event."""
        return self._admits(record.name, "")

    def _admits(self, name: str, sender: str) -> bool:
        with self._lock:
            left_out = self._end_periods()
            period = self._periods.setdefault(name, _Period(self._clock()))
            is_admitted = period.admits(sender, self._processes)
            is_first = period.left_out == 1 and not is_admitted
        for other, lines in left_out.items():
            _LOG.warning(_LEFT_OUT, of=other, lines=lines)
        if is_first:
            _LOG.warning(_LIMITED, of=name, seconds=int(PERIOD_SECONDS))
        return is_admitted

    def _end_periods(self) -> dict[str, int]:
        """Forgets the periods that have ended; returns how many lines of each were left out."""
        now = self._clock()
        ended = [
            name
            for name, period in self._periods.items()
            if now - period.began_at >= PERIOD_SECONDS
        ]
        counts = {name: self._periods.pop(name).left_out for name in ended}
        return {name: lines for name, lines in counts.items() if lines}
