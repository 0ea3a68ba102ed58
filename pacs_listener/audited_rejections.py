"""Records rejected connections in the audit trail: one record for many of the same kind."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.connections.rejected_connection import ListenerRejection, RejectionKey
from node.domain.errors import Transient

# A sender that is rejected tries again, often for hours.
REPEATED_AFTER = timedelta(minutes=15)
# Further kinds share the record of their reason.
_MAX_KINDS = 500
_OTHERS = "*"
# They say how busy the node is, not who has connected.
_NOT_AUDITED = {
    ListenerRejection.TOO_MANY_ASSOCIATIONS,
    ListenerRejection.TOO_MANY_OF_ADDRESS,
    ListenerRejection.NO_SPACE,
}
_Kind = tuple[str, str, ListenerRejection]  # calling AE title, address, reason


@dataclass
class _Rejections:
    count: int = 0
    recorded_at: datetime | None = None


@dataclass
class AuditedRejections:
    """Counts rejections by sender, address and reason; `write` appends the records.

    The first one has a record at once, and those after it one together every REPEATED_AFTER.
    """

    write_record: Callable[[AuditRecord], None]
    _kinds: dict[_Kind, _Rejections] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rejections: Iterable[tuple[RejectionKey, int]]) -> None:
        """Adds rejections and how often each has happened."""
        with self._lock:
            for key, count in rejections:
                if not key.reason.ends_association or key.reason in _NOT_AUDITED:
                    continue
                kind = (key.calling_ae_title, key.address, key.reason)
                if kind not in self._kinds and len(self._kinds) >= _MAX_KINDS:
                    kind = (_OTHERS, _OTHERS, key.reason)
                self._kinds.setdefault(kind, _Rejections()).count += count

    def write(self, now: datetime, *, is_last: bool = False) -> None:
        """Appends the records that are due; `is_last` also those that may wait."""
        due = self._due(now, is_last=is_last)
        for number, (kind, count) in enumerate(due):
            try:
                self.write_record(_record(kind, count, now))
            except Transient:  # the next call writes them
                self._keep(due[number:])
                return

    def _keep(self, counts: Iterable[tuple[_Kind, int]]) -> None:
        with self._lock:
            for kind, count in counts:
                self._kinds.setdefault(kind, _Rejections()).count += count

    def _due(self, now: datetime, *, is_last: bool) -> list[tuple[_Kind, int]]:
        found = []
        with self._lock:
            for kind, one in list(self._kinds.items()):
                is_old = one.recorded_at is None or now - one.recorded_at >= REPEATED_AFTER
                if one.count > 0 and (is_old or is_last):
                    found.append((kind, one.count))
                    self._kinds[kind] = _Rejections(0, now)
                elif is_old:
                    del self._kinds[kind]
        return found


def _record(kind: _Kind, count: int, now: datetime) -> AuditRecord:
    title, address, reason = kind
    times = "" if count == 1 else f", {count} times"
    return AuditRecord(
        now,
        AuditAction.CONNECTION_REJECTED,
        AuditOutcome.MINOR_FAILURE,
        AuditActor(title, AuditInterface.DICOM, address),
        (AuditObject(AuditObjectType.CONNECTION, title or address),),
        f"{reason}{times}",
    )
