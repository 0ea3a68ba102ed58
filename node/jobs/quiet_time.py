"""Measures the quiet time of series by a monotonic clock."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from node.domain.identifiers import Uid
from node.domain.series import StoredSeries

# Returns which of these series their senders call complete.
Hinted = Callable[[Sequence[StoredSeries]], Collection[Uid]]


def no_hints(_series: Sequence[StoredSeries]) -> Collection[Uid]:
    """Says that no sender calls a series complete."""
    return ()


@dataclass(frozen=True)
class WaitingSeries:
    """An undecided series, and how long it has been unchanged.

    It cannot be decided before it has been so for `min_quiet_s`.
    """

    series: StoredSeries
    quiet_s: float
    min_quiet_s: float


def next_due_s(waiting: Iterable[tuple[float, float]]) -> float | None:
    """Returns the seconds until the first quiet time is long enough; None if none will be.

    `waiting` are pairs of a quiet time in seconds and what it needs to be. One that is long enough
    already does not count.
    """
    return min((needed - quiet for quiet, needed in waiting if quiet < needed), default=None)


@dataclass
class QuietTimes:
    """Tracks since when each open series has been unchanged.

    `clock` is monotonic, in seconds. A jump of the system clock must neither cut short a series
    that still arrives nor delay one: the time of day counts for at most the time since the
    previous update. The first update has no other source.

    `hinted` returns the series that their senders call complete: these are quiet for ever.
    """

    clock: Callable[[], float]
    hinted: Hinted
    _updated_at: float = float("-inf")
    _unchanged_since: dict[tuple[Uid, int, datetime], float] = field(default_factory=dict)

    def update(self, open_series: Sequence[StoredSeries], now: datetime) -> Mapping[Uid, float]:
        """Returns the seconds since the last instance of each series, by UID."""
        clock_s = self.clock()
        unchanged_since = {}
        for series in open_series:
            state = (series.series_instance_uid, series.instance_count, series.last_received_at)
            age_s = max(0.0, (now - series.last_received_at).total_seconds())
            new = clock_s - min(age_s, clock_s - self._updated_at)
            unchanged_since[state] = self._unchanged_since.get(state, new)
        self._unchanged_since, self._updated_at = unchanged_since, clock_s
        hinted = self.hinted(open_series)
        return {
            uid: math.inf if uid in hinted else clock_s - since
            for (uid, _, _), since in unchanged_since.items()
        }

    def restart(self) -> None:
        """Starts every quiet time again: until now, nobody could know whether images arrived."""
        self._unchanged_since, self._updated_at = {}, self.clock()
