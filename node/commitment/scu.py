"""Storage commitment as a user: requests commitment for results from destinations (PS3.4 J.3)."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.events import Event

from node.commitment.push_model import (
    REQUEST_COMMITMENT,
    FailureReason,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    referenced_instance,
)
from node.delivery.destination import ResultFile
from node.dicom.ct.headers import PARSE_ERRORS
from node.dimse import scu
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.store import Store

_LOG = structlog.get_logger()
# Some peers report on the association of the request, at once; most open one of their own.
_SAME_ASSOCIATION_S = 1.0
# Statuses of N-EVENT-REPORT, PS3.7 10.1.1.1.8.
SUCCESS, PROCESSING_FAILURE, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0115
_REASONS: Mapping[int, str] = {
    FailureReason.PROCESSING_FAILURE: "it failed to process it",
    FailureReason.NO_SUCH_INSTANCE: "it does not have it",
    FailureReason.CLASS_CONFLICT: "it has it with another SOP class",
    FailureReason.CLASS_NOT_SUPPORTED: "it does not commit to this SOP class",
    FailureReason.DUPLICATE_TRANSACTION: "it knows the transaction already",
    FailureReason.RESOURCE_LIMITATION: "it is out of resources",
}


@dataclass(frozen=True)
class CommitmentReports:
    """Handles the N-EVENT-REPORT requests of destinations, on whichever association they come."""

    store: Store
    now: Callable[[], datetime]

    def handle_n_event_report(self, event: Event) -> tuple[int, Dataset | None]:
        """Stores the content of a report; returns the status of the response."""
        association = event.assoc
        peer = association.acceptor if association.is_requestor else association.requestor
        title = str(peer.ae_title)
        status = self._status(event, title)
        if status != SUCCESS:
            _LOG.warning("commitment.report_refused", peer=title, status=f"{status:04X}")
        return status, None

    def _status(self, event: Event, title: str) -> int:
        try:
            report = event.event_information
            known = self.store.answer_commitment(
                Uid(str(report.get("TransactionUID", ""))),
                title,
                [
                    str(item.ReferencedSOPInstanceUID)
                    for item in report.get("ReferencedSOPSequence") or []
                ],
                {
                    str(item.ReferencedSOPInstanceUID): _reason_text(item)
                    for item in report.get("FailedSOPSequence") or []
                },
                self.now(),
            )
        except Transient as error:
            _LOG.error("commitment.report_not_stored", peer=title, error=str(error))
            return PROCESSING_FAILURE
        except (Rejected, *PARSE_ERRORS):
            return INVALID_ARGUMENT
        return SUCCESS if known else INVALID_ARGUMENT


@dataclass(frozen=True)
class CommitmentScu:
    """Requests commitment from `remote`; `reports` handles a report on the same association."""

    remote: scu.Remote
    calling: AeTitle
    reports: CommitmentReports

    def request_commitment(self, transaction_uid: Uid, instances: Sequence[ResultFile]) -> None:
        """Requests commitment for the instances; the remote reports the outcome later.

        Raises:
            Transient: the remote does not accept the request.
            Rejected: the remote does not offer storage commitment.
        """
        request = _request(transaction_uid, instances)
        reported = threading.Event()

        def handle(event: Event) -> tuple[int, Dataset | None]:
            response = self.reports.handle_n_event_report(event)
            reported.set()
            return response

        ae = scu.application_entity(self.calling)
        ae.add_requested_context(StorageCommitmentPushModel)
        with scu.associated(
            ae,
            self.remote,
            no_context_error=Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"{self.remote} offers no storage commitment: leave out `commitment` for it",
            ),
            handlers=[(evt.EVT_N_EVENT_REPORT, handle)],
        ) as association:
            try:
                status, _ = association.send_n_action(
                    request,
                    REQUEST_COMMITMENT,
                    StorageCommitmentPushModel,
                    StorageCommitmentPushModelInstance,
                )
            except (RuntimeError, ValueError) as error:
                raise Transient(f"the association with {self.remote} broke: {error}") from error
            if status.get("Status") != SUCCESS:
                raise Transient(
                    f"{self.remote} answered the request for storage commitment with "
                    f"{scu.status_text(status)}"
                )
            reported.wait(_SAME_ASSOCIATION_S)


def _request(transaction_uid: Uid, instances: Sequence[ResultFile]) -> Dataset:
    """Returns the Action Information of a request (PS3.4 table J.3-1)."""
    sop_class = instances[0].read_dataset(["SOPClassUID"]).SOPClassUID
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [
        referenced_instance(sop_class, instance.sop_instance_uid) for instance in instances
    ]
    return request


def _reason_text(item: Dataset) -> str:
    code = int(item.get("FailureReason", FailureReason.PROCESSING_FAILURE))
    return _REASONS.get(code, "it does not say why") + f" (0x{code:04X})"
