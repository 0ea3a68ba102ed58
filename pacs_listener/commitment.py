"""The Storage Commitment Push Model (PS3.4 J.3): requests of senders, and reports of destinations.

The listener stores both. The worker processes them.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.events import Event

from node.commitment.push_model import REQUEST_COMMITMENT
from node.commitment.scu import CommitmentReports
from node.dicom.ct.headers import PARSE_ERRORS
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.store import Store
from node.store.commitment.received import ReferencedInstance

_LOG = structlog.get_logger()
# Statuses of N-ACTION, PS3.7 10.1.4.1.10.
SUCCESS = 0x0000
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
NOT_AUTHORIZED = 0x0124
RESOURCE_LIMITATION = 0x0213
# A study of a modern scanner has some thousand instances.
_MAX_REFERENCES = 100_000


@dataclass
class CommitmentService:
    """Handles requests of `peers`; the report needs an address, so others are refused.

    A request of one of `completing` for all images of a series says that the series is complete.
    """

    store: Store
    peers: Collection[str]
    now: Callable[[], datetime]
    completing: Collection[str] = ()

    def use(self, peers: Collection[str], completing: Collection[str]) -> None:
        """Handles the requests of these peers from now on."""
        self.peers, self.completing = peers, completing

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of an association's events."""
        reports = CommitmentReports(self.store, self.now)
        return [
            (evt.EVT_N_ACTION, self.handle_n_action),
            (evt.EVT_N_EVENT_REPORT, reports.handle_n_event_report),
        ]

    def handle_n_action(self, event: Event) -> tuple[int, Dataset | None]:
        """Stores one request; returns the status of the response."""
        calling = str(event.assoc.requestor.ae_title)
        status = self._status(event, calling)
        if status != SUCCESS:
            _LOG.warning("commitment.refused", calling_ae=calling, status=f"{status:04X}")
        return status, None

    def _status(self, event: Event, calling: str) -> int:
        request = event.request
        if not isinstance(request, N_ACTION) or request.ActionTypeID != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION
        if calling not in self.peers:
            return NOT_AUTHORIZED
        try:
            transaction, references = _read(event.action_information)
        except (Rejected, *PARSE_ERRORS):
            return INVALID_ARGUMENT
        try:
            self.store.request_commitment(transaction, calling, references, self.now())
            if calling in self.completing:
                self._complete_series(calling, references)
        except Transient:
            return RESOURCE_LIMITATION
        _LOG.info("commitment.requested", calling_ae=calling, instances=len(references))
        return SUCCESS

    def _complete_series(self, calling: str, references: Sequence[ReferencedInstance]) -> None:
        uids = [each.sop_instance_uid for each in references]
        detail = f"{calling} has requested storage commitment for all its images"
        self.store.record_completion_hint(self.store.series_wholly_in(uids), self.now(), detail)


def _read(information: Dataset) -> tuple[Uid, list[ReferencedInstance]]:
    """Returns the transaction UID and the referenced instances.

    Raises:
        Rejected: a UID is missing or invalid, or there are no or too many references.
        PARSE_ERRORS: pydicom cannot read the data set.
    """
    items = information.get("ReferencedSOPSequence") or []
    if not 0 < len(items) <= _MAX_REFERENCES:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE, f"commitment is requested for {len(items)} instances"
        )
    references = [
        ReferencedInstance(
            Uid(str(item.get("ReferencedSOPClassUID", ""))),
            Uid(str(item.get("ReferencedSOPInstanceUID", ""))),
        )
        for item in items
    ]
    return Uid(str(information.get("TransactionUID", ""))), references
