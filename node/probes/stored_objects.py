"""Probes of what a peer stores: the SOP classes of results, and storage commitment."""

from collections.abc import Iterable, Mapping

from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from node.dicom.uid_names import uid_name
from node.dimse.remotes import remote_of_peer
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.identifiers import AeTitle
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from node.probes import dicom
from node.settings import CStoreDestination, Settings

LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
_SOP_CLASSES: Mapping[ResultKind, str] = {
    ResultKind.SEG: SegmentationStorage,
    ResultKind.SR: Comprehensive3DSRStorage,
    ResultKind.CAPTURE: SecondaryCaptureImageStorage,
    ResultKind.SUMMARY: SecondaryCaptureImageStorage,
    ResultKind.PDF: EncapsulatedPDFStorage,
    ResultKind.RTSTRUCT: RTStructureSetStorage,
    ResultKind.NOTICE: SecondaryCaptureImageStorage,
}


def sop_class_of(result_object: ResultObject) -> str:
    """Returns the SOP class of an object that is DICOM."""
    if result_object == ResultObject(ResultKind.SEG, SegEncoding.LABELMAP):
        return LABEL_MAP_SEGMENTATION
    return str(_SOP_CLASSES[result_object.kind])


def offer_objects(settings: Settings, destination: CStoreDestination) -> str:
    """Offers the objects of the destination to its peer; returns which it accepts, in words.

    Raises:
        ConnectionFailure: no association, or an object is not accepted and nothing replaces it.
    """
    remote = remote_of_peer(settings.peers[destination.peer], settings)
    calling = AeTitle(settings.listener.ae_title)
    wanted = [sop_class_of(each) for each in destination.wanted.objects]
    fallback = [sop_class_of(each) for each in destination.wanted.fallback]
    accepted = dicom.accepted_sop_classes(remote, calling, dict.fromkeys([*wanted, *fallback]))
    missing = _names(uid for uid in wanted if uid not in accepted)
    if not missing:
        return f"It accepts {_names(wanted)}."
    replaced = [uid for uid in fallback if uid in accepted]
    if replaced:
        return f"It does not accept {missing}, and gets {_names(replaced)} instead."
    raise ConnectionFailure(
        ConnectionFault.SOP_CLASS,
        f"{remote} does not accept {missing}",
        f"allow it there for {calling}; or leave it out of `objects`, or name a `fallback`",
    )


def offer_commitment(settings: Settings, destination: CStoreDestination) -> str:
    """Offers storage commitment to the peer that the destination names for it; requests none.

    Raises:
        ConnectionFailure: no association, or it does not accept.
    """
    remote = remote_of_peer(settings.peers[destination.commitment or destination.peer], settings)
    calling = AeTitle(settings.listener.ae_title)
    if not dicom.accepted_sop_classes(remote, calling, [StorageCommitmentPushModel]):
        raise ConnectionFailure(
            ConnectionFault.SOP_CLASS,
            f"{remote} offers no storage commitment",
            f"allow it there for {calling}, or leave out `commitment`",
        )
    return (
        f"{remote} accepts requests for commitment. It reports to {calling} on "
        f"{settings.listener.ports_text} of this machine, which it must know."
    )


def _names(uids: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(uid_name(uid) for uid in uids))
