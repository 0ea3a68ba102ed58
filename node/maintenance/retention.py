"""Deletes what a site does not want to keep: finished series, by age and for room on the disk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from node.domain.series import StoredSeries
from node.store import Store

_LOG = structlog.get_logger()
# For the sake of room, nothing goes that came in so lately: it may be looked at, or grow.
_YOUNGEST_FOR_ROOM = timedelta(hours=1)


@dataclass(frozen=True)
class Retention:
    """Clears finished series: those older than `keep`, and the oldest until `free_bytes` are free.

    Without either, nothing is deleted. What is not decided, not delivered or parked always stays.
    """

    store: Store
    keep: timedelta | None
    free_bytes: int
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Clear what is due.

        Raises:
            Transient: the database does not answer, or a file cannot be deleted.
        """
        if self.keep is not None:
            for series in self._clearable(self.now() - self.keep):
                self._clear(series, "age")
        if self._needs_room():
            for series in self._clearable(self.now() - _YOUNGEST_FOR_ROOM):
                self._clear(series, "room")
                if not self._needs_room():
                    break

    def _clearable(self, before: datetime) -> Iterator[StoredSeries]:
        """Batch by batch, as long as the last was cleared."""
        seen: set[str] = set()
        while batch := self.store.clearable_series(before):
            new = [series for series in batch if series.series_instance_uid not in seen]
            if not new:
                return
            yield from new
            seen.update(series.series_instance_uid for series in new)

    def _needs_room(self) -> bool:
        free = self.store.files.free_bytes()
        return free is not None and free < self.free_bytes

    def _clear(self, series: StoredSeries, why: str) -> None:
        if self.store.clear_series(series.series_instance_uid, self.now()):
            _LOG.info(
                "series.cleared",
                series=series.series_instance_uid,
                instances=series.instance_count,
                for_reason_of=why,
            )
