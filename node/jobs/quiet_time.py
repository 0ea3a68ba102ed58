"""How long series have been quiet, by a clock that nobody can set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from node.domain.identifiers import Uid
from node.domain.series import StoredSeries


@dataclass
class QuietTimes:
    """Remembers since when each open series is as it is.

    `clock` runs evenly, in seconds. The time of day may jump, by an hour even, and must neither
    cut a series short that still arrives nor keep one waiting: it counts for no more than has
    passed since the look before. At the first look there is nothing else to go by.
    """

    clock: Callable[[], float]
    _looked_at: float = float("-inf")
    _unchanged_since: dict[tuple[Uid, int, datetime], float] = field(default_factory=dict)

    def update(self, open_series: Sequence[StoredSeries], now: datetime) -> Mapping[Uid, float]:
        """Seconds since the last instance of each series, by its UID."""
        moment = self.clock()
        unchanged_since = {}
        for series in open_series:
            state = (series.series_instance_uid, series.instance_count, series.last_received_at)
            age_s = max(0.0, (now - series.last_received_at).total_seconds())
            new = moment - min(age_s, moment - self._looked_at)
            unchanged_since[state] = self._unchanged_since.get(state, new)
        self._unchanged_since, self._looked_at = unchanged_since, moment
        return {uid: moment - since for (uid, _, _), since in unchanged_since.items()}
