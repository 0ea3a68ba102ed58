"""A destination by C-STORE (PS3.4 annex B), the usual way into a PACS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from node.delivery.destination import ResultFile
from node.delivery.response_status import told_as_warning
from node.dimse import scu
from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle


@dataclass(frozen=True)
class CStore:
    """A remote application entity that stores what we send it, as it is encoded."""

    name: str
    remote: scu.Remote
    calling: AeTitle

    def deliver(self, result: ResultFile) -> Receipt:
        """See `Destination.deliver`."""
        dataset = _read(result.path)
        with self._association(dataset) as association:
            status = self._store(association, dataset)
        try:
            warning = told_as_warning(status)
        except Transient as error:
            raise Transient(f"{self.remote} did not take the result: {error}") from error
        except Rejected as error:
            raise Rejected(error.reason, f"{self.remote} refused the result: {error}") from error
        return Receipt(self.name, f"C-STORE to {self.remote}" + (f": {warning}" if warning else ""))

    @contextmanager
    def _association(self, dataset: Dataset) -> Iterator[Association]:
        """An association that accepts the object's SOP class; released at the end."""
        entity = scu.entity(self.calling)
        entity.requested_contexts = [
            # One context for each syntax, so that the acceptor has no choice but yes or no.
            build_context(dataset.SOPClassUID, syntax)
            for syntax in proposed_syntaxes(dataset.file_meta.TransferSyntaxUID)
        ]
        association = scu.associate(entity, self.remote, accepting_none=self._refusal(dataset))
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def _store(self, association: Association, dataset: Dataset) -> int:
        """The status that the remote answers."""
        try:
            answer = association.send_c_store(dataset)
        except ValueError as error:
            raise self._refusal(dataset) from error
        except RuntimeError as error:
            raise Transient(f"the association with {self.remote} broke: {error}") from error
        if "Status" not in answer:
            raise Transient(f"{self.remote} stopped answering while the result was sent")
        return int(answer.Status)

    def _refusal(self, dataset: Dataset) -> Rejected:
        kind = UID(dataset.SOPClassUID).name
        return Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"{self.remote} does not accept {kind}: allow this SOP class there for "
            f"{self.calling}, then retry the job",
        )


def proposed_syntaxes(own: UID) -> tuple[UID, ...]:
    """The transfer syntaxes to propose: the file's own, and implicit where it is convertible."""
    if own == ExplicitVRLittleEndian:
        return (own, ImplicitVRLittleEndian)
    return (own,)


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise Transient(f"the result's file cannot be read: {error}") from error
