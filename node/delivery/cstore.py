"""A destination by C-STORE (PS3.4 annex B), the usual way into a PACS."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from node.delivery.destination import ResultFile
from node.delivery.response_status import (
    check_storage_status,
    receipt_with_warning,
    storage_errors_of,
)
from node.dicom.results.transcoding import in_syntax, sent_syntaxes
from node.dicom.uid_names import uid_name
from node.dimse import scu
from node.domain.delivery import Receipt
from node.domain.errors import NotAccepted, Transient
from node.domain.identifiers import AeTitle


@dataclass(frozen=True)
class CStore:
    """A remote application entity.

    Results are sent as they are encoded, or uncompressed. With `deflated`, segmentations of single
    bits are sent deflated where it accepts that.
    """

    name: str
    remote: scu.Remote
    calling: AeTitle
    deflated: bool = False

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        """See `Destination.deliver`. All instances go over one association."""
        # Specific tags: the first instance alone says which SOP class and syntax to propose.
        first = instances[0].read_dataset(["SOPClassUID"])
        ae = scu.application_entity(self.calling)
        ae.requested_contexts = [
            # One context for each transfer syntax: the acceptor can only accept or reject it.
            build_context(first.SOPClassUID, syntax)
            for syntax in self._syntaxes(first)
        ]
        not_accepted = self._not_accepted(first.SOPClassUID)
        with scu.associated(ae, self.remote, no_context_error=not_accepted) as association:
            warnings = {
                self._store(association, instance, not_accepted) for instance in instances
            } - {""}
        return receipt_with_warning(
            self.name, f"C-STORE to {self.remote}", "; ".join(sorted(warnings))
        )

    def _store(
        self, association: Association, instance: ResultFile, not_accepted: NotAccepted
    ) -> str:
        """Sends one instance; returns the warning of the response, or an empty text."""
        dataset = instance.read_dataset()
        accepted = {s for context in association.accepted_contexts for s in context.transfer_syntax}
        syntax = next((s for s in self._syntaxes(dataset) if s in accepted), ExplicitVRLittleEndian)
        dataset = in_syntax(dataset, syntax)
        try:
            with scu.broken_association_as_transient(self.remote):
                response = association.send_c_store(dataset)
        except ValueError as error:  # no accepted presentation context for this data set
            raise not_accepted from error
        if "Status" not in response:
            raise Transient(f"{self.remote} stopped answering while the result was sent")
        with storage_errors_of(str(self.remote)):
            return check_storage_status(int(response.Status))

    def _syntaxes(self, dataset: Dataset) -> tuple[UID, ...]:
        own = dataset.file_meta.TransferSyntaxUID
        return sent_syntaxes(dataset.SOPClassUID, own, deflated=self.deflated)

    def _not_accepted(self, sop_class_uid: UID) -> NotAccepted:
        return NotAccepted(
            f"{self.remote} does not accept {uid_name(sop_class_uid)}: allow this SOP class there "
            f"for {self.calling}, then retry the job; or leave it out of the destination's "
            "`objects`, or name a `fallback`"
        )
