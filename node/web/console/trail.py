"""The history of a series for its page: attempts that failed one after the other are one entry."""

from collections.abc import Iterable
from dataclasses import dataclass

from node.store import HistoryEvent

# What comes before a further attempt by itself.
_FAILED_ATTEMPTS = {"delivery.failed", "job.failed"}
# Two are as short as a line that says how many there are.
_MIN_FOLDED = 3


@dataclass(frozen=True)
class TrailEntry:
    """One event, or the failed attempts between two others, the earliest first."""

    events: tuple[HistoryEvent, ...]

    @property
    def latest(self) -> HistoryEvent:
        """The event that is shown; the others are folded."""
        return self.events[-1]

    @property
    def earlier(self) -> tuple[HistoryEvent, ...]:
        """The events that are folded."""
        return self.events[:-1]


def folded(events: Iterable[HistoryEvent]) -> tuple[TrailEntry, ...]:
    """Returns the history with each row of failed attempts as one entry."""
    entries: list[TrailEntry] = []
    attempts: list[HistoryEvent] = []
    for event in events:
        if event.event in _FAILED_ATTEMPTS:
            attempts.append(event)
            continue
        entries += [*_of_attempts(attempts), TrailEntry((event,))]
        attempts = []
    return (*entries, *_of_attempts(attempts))


def _of_attempts(attempts: list[HistoryEvent]) -> list[TrailEntry]:
    if len(attempts) < _MIN_FOLDED:
        return [TrailEntry((event,)) for event in attempts]
    return [TrailEntry(tuple(attempts))]
