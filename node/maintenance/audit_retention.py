"""Retention of the audit trail: removes old records, whole days at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from node.store import Store

_LOG = structlog.get_logger()


@dataclass
class AuditRetention:
    """Removes records older than `keep`, once for each day (UTC); None keeps all of them.

    With `only_sent`, records that the syslog server does not have yet stay for another day.
    """

    store: Store
    keep: timedelta | None
    now: Callable[[], datetime]
    only_sent: bool = False
    _removed_before: datetime | None = field(default=None, init=False)

    def poll(self) -> None:
        """Removes what has become too old since the last day.

        Raises:
            Transient: the database does not answer.
        """
        if self.keep is None:
            return
        today = self.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        before = today - self.keep
        if before == self._removed_before:
            return
        for chain in self.store.audit_chains():
            self._remove(chain, before)
        self._removed_before = before

    def _remove(self, chain: str, before: datetime) -> None:
        total = 0
        while True:
            removed = self.store.remove_audit_records(
                chain, before, self.now(), only_sent=self.only_sent
            )
            total += removed.count
            if removed.fault is not None:
                _LOG.error(
                    "audit.fault",
                    chain=chain,
                    record=removed.fault.sequence,
                    fault=removed.fault.fault,
                )
            if removed.count == 0 or removed.fault is not None:
                break
        if total > 0:
            _LOG.info("audit.removed", chain=chain, records=total)
