"""The Storage Commitment Push Model (PS3.4 J.3): requests of senders, and reports of destinations.

Both are kept; what follows is the worker's.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.events import Event

from node.commitment.scu import CommitmentReports
from node.dicom.ct.headers import PARSE_ERRORS
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.store import Store
from node.store.commitment.received import Reference

_LOG = structlog.get_logger()
_REQUEST_COMMITMENT = 1  # PS3.4 table J.3-1
# PS3.7 10.1.4.1.10
SUCCESS = 0x0000
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
NOT_AUTHORIZED = 0x0124
RESOURCE_LIMITATION = 0x0213
# A study of a modern scanner has some thousands.
_MOST_REFERENCES = 100_000


@dataclass(frozen=True)
class CommitmentService:
    """Takes requests of `peers`, whose addresses we know; nobody else could be answered."""

    store: Store
    peers: Collection[str]
    now: Callable[[], datetime]

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What is done on which event of an association."""
        reports = CommitmentReports(self.store, self.now)
        return [(evt.EVT_N_ACTION, self.take), (evt.EVT_N_EVENT_REPORT, reports.take)]

    def take(self, event: Event) -> tuple[int, Dataset | None]:
        """Answers one request: whether it was kept."""
        calling = str(event.assoc.requestor.ae_title)
        status = self._status(event, calling)
        if status != SUCCESS:
            _LOG.warning("commitment.refused", calling_ae=calling, status=f"{status:04X}")
        return status, None

    def _status(self, event: Event, calling: str) -> int:
        request = event.request
        if not isinstance(request, N_ACTION) or request.ActionTypeID != _REQUEST_COMMITMENT:
            return NO_SUCH_ACTION
        if calling not in self.peers:
            return NOT_AUTHORIZED
        try:
            transaction, references = _read(event.action_information)
        except (Rejected, *PARSE_ERRORS):
            return INVALID_ARGUMENT
        try:
            self.store.request_commitment(transaction, calling, references, self.now())
        except Transient:
            return RESOURCE_LIMITATION
        _LOG.info("commitment.requested", calling_ae=calling, instances=len(references))
        return SUCCESS


def _read(information: Dataset) -> tuple[Uid, list[Reference]]:
    """The transaction and what it is about.

    Raises:
        Rejected: a UID is missing or invalid, or there are no or too many references; else what
            pydicom raises on what cannot be read.
    """
    items = information.get("ReferencedSOPSequence") or []
    if not 0 < len(items) <= _MOST_REFERENCES:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE, f"commitment is asked for {len(items)} instances"
        )
    references = [
        Reference(
            Uid(str(item.get("ReferencedSOPClassUID", ""))),
            Uid(str(item.get("ReferencedSOPInstanceUID", ""))),
        )
        for item in items
    ]
    return Uid(str(information.get("TransactionUID", ""))), references
