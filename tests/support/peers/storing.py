"""Sends files to a node by C-STORE and returns the statuses of the responses."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from node.dimse import scu
from node.domain.identifiers import AeTitle


def statuses(port: int, files: Sequence[Path]) -> list[int | None]:
    """Returns the status of each file; None where the node does not answer."""
    ae = scu.application_entity(AeTitle("DEMOSENDER"))
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    remote = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", port)
    with scu.associated(ae, remote) as association:
        return [association.send_c_store(file).get("Status") for file in files]
