"""C-STORE to a node, with the statuses that it answers."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from node.dimse import scu
from node.domain.identifiers import AeTitle


def statuses(port: int, files: Sequence[Path]) -> list[int | None]:
    """What the node answers to each file; None where it does not answer."""
    entity = scu.entity(AeTitle("DEMOSENDER"))
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    remote = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", port)
    association = scu.associate(entity, remote)
    try:
        return [association.send_c_store(file).get("Status") for file in files]
    finally:
        association.release()
