"""The series that a SEG of any origin segments."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from node.dicom.ct.headers import PARSE_ERRORS
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid


@dataclass(frozen=True)
class SourceReference:
    """What a SEG says about its images: their series, or else one of them."""

    series_instance_uid: Uid | None
    sop_instance_uid: Uid | None


def source_reference(path: Path) -> SourceReference:
    """Reads the reference of a SEG to its images.

    The Referenced Series Sequence names the series (PS3.3 C.12.4); a SEG without one names source
    images of its frames (PS3.3 C.7.6.16.2.6).

    Raises:
        Rejected: the file cannot be read.
    """
    try:
        header = dcmread(path, stop_before_pixels=True)
        for item in header.get("ReferencedSeriesSequence") or ():
            return SourceReference(Uid(item.SeriesInstanceUID), None)
        return SourceReference(None, _source_image(header))
    except PARSE_ERRORS as error:
        raise Rejected(
            RejectionReason.UNREADABLE, f"the segmentation cannot be read: {error}"
        ) from error


def _source_image(header: Dataset) -> Uid | None:
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*shared, *(header.get("PerFrameFunctionalGroupsSequence") or ())):
        for derivation in groups.get("DerivationImageSequence") or ():
            for image in derivation.get("SourceImageSequence") or ():
                return Uid(image.ReferencedSOPInstanceUID)
    return None
