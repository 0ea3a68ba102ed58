"""Sends files to a node by C-STORE and returns the statuses of the responses."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from node.dimse import scu
from node.domain.identifiers import AeTitle


def statuses(scp: scu.Remote, files: Sequence[Path]) -> list[int | None]:
    """Returns the status of each file; None where the node does not answer."""
    ae = scu.application_entity(AeTitle("DEMOSENDER"))
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    with scu.associated(ae, scp) as association:
        return [association.send_c_store(file).get("Status") for file in files]
