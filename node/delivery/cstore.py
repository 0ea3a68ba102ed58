"""A destination by C-STORE (PS3.4 annex B), the usual way into a PACS."""

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context

from node.delivery.destination import ResultFile
from node.delivery.response_status import (
    check_storage_status,
    receipt_with_warning,
    storage_errors_of,
)
from node.dimse import scu
from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle


@dataclass(frozen=True)
class CStore:
    """A remote application entity that stores results as they are encoded."""

    name: str
    remote: scu.Remote
    calling: AeTitle

    def deliver(self, result: ResultFile) -> Receipt:
        """See `Destination.deliver`."""
        status = self._store(result.read_dataset())
        with storage_errors_of(str(self.remote)):
            warning = check_storage_status(status)
        return receipt_with_warning(self.name, f"C-STORE to {self.remote}", warning)

    def _store(self, dataset: Dataset) -> int:
        """Sends the data set on an association of its own; returns the status of the response."""
        ae = scu.application_entity(self.calling)
        ae.requested_contexts = [
            # One context for each transfer syntax: the acceptor can only accept or reject it.
            build_context(dataset.SOPClassUID, syntax)
            for syntax in proposed_transfer_syntaxes(dataset.file_meta.TransferSyntaxUID)
        ]
        not_accepted = self._not_accepted(dataset)
        with scu.associated(ae, self.remote, no_context_error=not_accepted) as association:
            try:
                with scu.broken_association_as_transient(self.remote):
                    response = association.send_c_store(dataset)
            except ValueError as error:  # no accepted presentation context for this data set
                raise not_accepted from error
            if "Status" not in response:
                raise Transient(f"{self.remote} stopped answering while the result was sent")
        return int(response.Status)

    def _not_accepted(self, dataset: Dataset) -> Rejected:
        sop_class = UID(dataset.SOPClassUID).name
        return Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"{self.remote} does not accept {sop_class}: allow this SOP class there for "
            f"{self.calling}, then retry the job",
        )


def proposed_transfer_syntaxes(own: UID) -> tuple[UID, ...]:
    """Returns the transfer syntaxes to propose for a file.

    They are the file's own, and Implicit VR Little Endian where pynetdicom can convert to it.
    """
    if own == ExplicitVRLittleEndian:
        return (own, ImplicitVRLittleEndian)
    return (own,)
