"""Retention: deletes finished series by age and when disk space runs low."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from node.domain.series import StoredSeries
from node.store import Store

_LOG = structlog.get_logger()
# A full disk never deletes a series that is younger: it may still grow, or somebody may view it.
_MIN_AGE_FOR_SPACE = timedelta(hours=1)


@dataclass(frozen=True)
class Retention:
    """Clears finished series: those older than `keep`, and the oldest until `free_bytes` are free.

    If neither is set, nothing is deleted. Series that are undecided, undelivered or parked always
    stay.
    """

    store: Store
    keep: timedelta | None
    free_bytes: int
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Clears the series that are due.

        Raises:
            Transient: the database does not answer, or a file cannot be deleted.
        """
        if self.keep is not None:
            for series in self._clearable(self.now() - self.keep):
                self._clear(series, "age")
        if self._needs_space():
            for series in self._clearable(self.now() - _MIN_AGE_FOR_SPACE):
                self._clear(series, "space")
                if not self._needs_space():
                    break

    def _clearable(self, before: datetime) -> Iterator[StoredSeries]:
        """Yields clearable series batch by batch, as long as a batch has new ones."""
        seen: set[str] = set()
        while batch := self.store.clearable_series(before):
            new = [series for series in batch if series.series_instance_uid not in seen]
            if not new:
                return
            yield from new
            seen.update(series.series_instance_uid for series in new)

    def _needs_space(self) -> bool:
        free = self.store.files.free_bytes()
        return free is not None and free < self.free_bytes

    def _clear(self, series: StoredSeries, reason: str) -> None:
        if self.store.clear_series(series.series_instance_uid, self.now()):
            _LOG.info(
                "series.cleared",
                series=series.series_instance_uid,
                instances=series.instance_count,
                reason=reason,
            )
