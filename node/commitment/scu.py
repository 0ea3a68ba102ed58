"""Storage commitment as user: a destination is asked to commit itself to a result (PS3.4 J.3)."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from node.delivery.destination import ResultFile
from node.dicom.ct.headers import PARSE_ERRORS
from node.dimse import scu
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.store import Store

_LOG = structlog.get_logger()
_REQUEST_COMMITMENT = 1  # PS3.4 table J.3-1
# Some answer on the association of the request, within a moment; most open one of their own.
_SAME_ASSOCIATION_S = 1.0
# PS3.7 10.1.1.1.8
SUCCESS, PROCESSING_FAILURE, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0115
# PS3.3 C.14.1.1
_REASONS: Mapping[int, str] = {
    0x0110: "it failed to process it",
    0x0112: "it does not have it",
    0x0119: "it has it as another kind of object",
    0x0122: "it does not commit itself to this kind of object",
    0x0131: "it knows the transaction already",
    0x0213: "it is out of resources",
}


@dataclass(frozen=True)
class CommitmentReports:
    """Takes N-EVENT-REPORT of those we have asked, on whichever association it comes."""

    store: Store
    now: Callable[[], datetime]

    def take(self, event: Event) -> tuple[int, Dataset | None]:
        """Keep what a report says; the status to answer with."""
        association = event.assoc
        peer = association.acceptor if association.is_requestor else association.requestor
        title = str(peer.ae_title)
        status = self._status(event, title)
        if status != SUCCESS:
            _LOG.warning("commitment.report_refused", peer=title, status=f"{status:04X}")
        return status, None

    def _status(self, event: Event, title: str) -> int:
        try:
            told = event.event_information
            known = self.store.answer_commitment(
                Uid(str(told.get("TransactionUID", ""))),
                title,
                [
                    str(item.ReferencedSOPInstanceUID)
                    for item in _items(told, "ReferencedSOPSequence")
                ],
                {
                    str(item.ReferencedSOPInstanceUID): _reason(item)
                    for item in _items(told, "FailedSOPSequence")
                },
                self.now(),
            )
        except Transient as error:
            _LOG.error("commitment.report_not_kept", peer=title, error=str(error))
            return PROCESSING_FAILURE
        except (Rejected, *PARSE_ERRORS):
            return INVALID_ARGUMENT
        return SUCCESS if known else INVALID_ARGUMENT


@dataclass(frozen=True)
class CommitmentScu:
    """Asks `remote` for commitment; `reports` takes an answer on the same association."""

    remote: scu.Remote
    calling: AeTitle
    reports: CommitmentReports

    def ask(self, transaction_uid: Uid, result: ResultFile) -> None:
        """Ask it to commit itself to a result; whether it does, it reports later.

        Raises:
            Transient: it does not take the request.
            Rejected: it does not know storage commitment.
        """
        request = _request(transaction_uid, result)
        answered = threading.Event()

        def take(event: Event) -> tuple[int, Dataset | None]:
            answer = self.reports.take(event)
            answered.set()
            return answer

        ae = scu.entity(self.calling)
        ae.add_requested_context(StorageCommitmentPushModel)
        association = scu.associate(
            ae,
            self.remote,
            accepting_none=Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"{self.remote} offers no storage commitment: leave out `commitment` for it",
            ),
            handlers=[(evt.EVT_N_EVENT_REPORT, take)],
        )
        try:
            status, _ = association.send_n_action(
                request,
                _REQUEST_COMMITMENT,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
            code = status.get("Status")
            if code != SUCCESS:
                told = "nothing" if code is None else f"status 0x{code:04X}"
                raise Transient(f"{self.remote} answered {told} when asked for storage commitment")
            answered.wait(_SAME_ASSOCIATION_S)
        except (RuntimeError, ValueError) as error:
            raise Transient(f"the association with {self.remote} broke: {error}") from error
        finally:
            association.release()


def _request(transaction_uid: Uid, result: ResultFile) -> Dataset:
    try:
        header = dcmread(result.path, specific_tags=["SOPClassUID"])
    except (OSError, InvalidDicomError) as error:
        raise Transient(f"the result's file cannot be read: {error}") from error
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = result.sop_instance_uid
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = Sequence([item])
    return request


def _items(told: Dataset, keyword: str) -> list[Dataset]:
    return list(told.get(keyword) or [])


def _reason(item: Dataset) -> str:
    code = int(item.get("FailureReason", 0x0110))
    return _REASONS.get(code, "it does not say why") + f" (0x{code:04X})"
