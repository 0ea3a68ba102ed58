"""Counts what the listener rejects, until a timer stores the counts.

An association only changes counts in memory. It never waits for the database.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE

from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectionKey,
    RejectionTally,
)
from node.domain.errors import Transient
from node.store import Store
from pacs_listener.audited_rejections import AuditedRejections

_LOG = structlog.get_logger()
# Further senders until the next `flush` share one row of their address.
_MAX_KEYS = 500
_OTHERS = "*"
_AE_LENGTH, _UID_LENGTH = 16, 64
# Result, source and reason of a rejection (PS3.8 9.3.4).
_REASONS: Mapping[tuple[int | None, int | None, int | None], ListenerRejection] = {
    (0x01, 0x01, 0x03): ListenerRejection.CALLING_AE_TITLE,
    (0x01, 0x01, 0x07): ListenerRejection.CALLED_AE_TITLE,
    (0x02, 0x03, 0x01): ListenerRejection.NO_SPACE,
    (0x02, 0x03, 0x02): ListenerRejection.TOO_MANY_ASSOCIATIONS,
}
# Results of a presentation context (PS3.8 9.3.3.2).
_CONTEXT_REASONS: Mapping[int | None, ListenerRejection] = {
    0x03: ListenerRejection.SOP_CLASS,
    0x04: ListenerRejection.TRANSFER_SYNTAX,
}


class RejectionRecorder:
    """Records rejections in memory; `flush` stores them.

    Each of the listener's `processes` has its part of the senders that it keeps apart.
    """

    def __init__(self, store: Store, now: Callable[[], datetime], processes: int = 1) -> None:
        self._store = store
        self._now = now
        self._tallies: dict[RejectionKey, RejectionTally] = {}
        self._lock = threading.Lock()
        self._failed = False
        self._max_keys = _MAX_KEYS // processes
        self._audited = AuditedRejections(store.record_soon)

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of an association's events."""
        return [
            (evt.EVT_REJECTED, self.record_association),
            (evt.EVT_ACCEPTED, self._record_contexts),
        ]

    def record_association(self, event: Event, reason: ListenerRejection | None = None) -> None:
        """Records that the whole association is rejected; without `reason`, as the answer says."""
        answer = event.assoc.acceptor.primitive
        if reason is None and isinstance(answer, A_ASSOCIATE):
            reason = _REASONS.get((answer.result, answer.result_source, answer.diagnostic))
        self._record(event, ListenerRejection.OTHER if reason is None else reason)

    def record_connection(self, association: Association, reason: ListenerRejection) -> None:
        """Records that a connection ends before an association is requested."""
        now = self._now()
        with self._lock:
            key = RejectionKey("", "", str(association.requestor.address), reason)
            self._add(key, RejectionTally(1, now, now))

    def record_instance(
        self,
        event: Event,
        sop_class_uid: str,
        status: int,
        reason: ListenerRejection = ListenerRejection.INSTANCE,
    ) -> None:
        """Records that a C-STORE request is answered with a failure status."""
        self._record(event, reason, sop_class_uid, status=f"{status:04X}")

    def _record_contexts(self, event: Event) -> None:
        """Records the presentation contexts that are rejected in an accepted association."""
        offered: dict[tuple[ListenerRejection, str], list[str]] = {}
        for context in event.assoc.rejected_contexts:
            reason = _CONTEXT_REASONS.get(context.result)
            if reason is not None:
                syntaxes = offered.setdefault((reason, str(context.abstract_syntax)), [])
                syntaxes += map(str, _requested_syntaxes(event, context.context_id))
        accepted = {str(c.abstract_syntax) for c in event.assoc.accepted_contexts}
        for (reason, sop_class_uid), syntaxes in offered.items():
            # Senders offer each transfer syntax in a context of its own, and need only one.
            if sop_class_uid not in accepted:
                self._record(event, reason, sop_class_uid, syntaxes)

    def _record(
        self,
        event: Event,
        reason: ListenerRejection,
        sop_class_uid: str = "",
        transfer_syntax_uids: Sequence[str] = (),
        status: str = "",
    ) -> None:
        request = event.assoc.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            return
        key = RejectionKey(
            calling_ae_title=_printable(request.calling_ae_title, _AE_LENGTH),
            called_ae_title=_printable(request.called_ae_title, _AE_LENGTH),
            address=str(event.assoc.requestor.address),
            reason=reason,
            sop_class_uid=_printable(sop_class_uid, _UID_LENGTH),
            status=status,
        )
        now = self._now()
        with self._lock:
            self._add(key, RejectionTally(1, now, now, tuple(dict.fromkeys(transfer_syntax_uids))))

    def _add(self, key: RejectionKey, tally: RejectionTally) -> None:
        """Adds a tally; the caller holds the lock."""
        if key not in self._tallies and len(self._tallies) >= self._max_keys:
            key = replace(key, calling_ae_title=_OTHERS, called_ae_title=_OTHERS)
        known = self._tallies.get(key)
        if known is not None:
            count = known.count + tally.count
            tally = replace(tally, count=count, first_at=known.first_at)
        self._tallies[key] = tally

    def flush(self) -> None:
        """Stores the counts since the last call; keeps them if the database does not answer."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        if tallies:
            self._store_tallies(tallies)
        self._audited.write(self._now())

    def close(self) -> None:
        """Stores everything, at the stop of the listener."""
        self.flush()
        self._audited.write(self._now(), is_last=True)

    def _store_tallies(self, tallies: dict[RejectionKey, RejectionTally]) -> None:
        try:
            self._store.record_rejections(tallies, self._now())
        except Transient as error:
            if not self._failed:
                _LOG.warning("listener.rejections_not_stored", error=str(error))
            self._failed = True
            self._keep(tallies)
        else:
            self._failed = False
            self._audited.add((key, tally.count) for key, tally in tallies.items())

    def _keep(self, tallies: dict[RejectionKey, RejectionTally]) -> None:
        with self._lock:
            newer, self._tallies = self._tallies, tallies
            for key, tally in newer.items():
                self._add(key, tally)


def _requested_syntaxes(event: Event, context_id: int | None) -> Sequence[str]:
    """Returns the transfer syntaxes that the sender offered in a presentation context."""
    for context in event.assoc.requestor.requested_contexts:
        if context.context_id == context_id:
            return context.transfer_syntax
    return ()


def _printable(text: str, length: int) -> str:
    """Returns the text as a row can hold it; a sender may use any bytes."""
    return "".join(c if c.isprintable() else "?" for c in str(text).strip())[:length]
