"""Objects that are stored among the slices of a series but are no slices.

A scanner or workstation may add its localizers, dose pages and screen shots to the series of the
slices. They are left out, and named in the result. An object of any other type is not expected in a
CT series, and is not left out: `check_objects` refuses it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from pydicom import uid
from pydicom.dataset import Dataset, FileDataset

from node.dicom.ct.frames import CT_CLASSES, MULTI_FRAME_CLASSES, image_type_of
from node.dicom.ct.headers import PARSE_ERRORS

# SOP classes of objects that never hold a CT slice (PS3.3 A.8, A.35, A.45, A.33).
_CLASSES = {
    uid.SecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage: "secondary capture",
    uid.XRayRadiationDoseSRStorage: "dose report",
    uid.BasicTextSRStorage: "report",
    uid.EnhancedSRStorage: "report",
    uid.ComprehensiveSRStorage: "report",
    uid.EncapsulatedPDFStorage: "document",
    uid.GrayscaleSoftcopyPresentationStateStorage: "presentation state",
    uid.KeyObjectSelectionDocumentStorage: "key object selection",
}
# Values of Image Type that scanners give to pages in a CT object.
_PAGES = {
    "LOCALIZER": "localizer",  # PS3.3 C.8.2.1.1.1
    "SCREEN SAVE": "screen shot",
    "SCREEN_SAVE": "screen shot",
    "DOSE_INFO": "dose page",
}


def non_slice_type(header: Dataset) -> str:
    """Returns what the object is if it is known not to hold slices; empty otherwise.

    Raises:
        ValueError: Image Type cannot be read; pydicom raises further exceptions.
    """
    sop_class = header.get("SOPClassUID")
    if sop_class in _CLASSES:
        return _CLASSES[sop_class]
    # A multi-frame object is one volume: no part of it is left out.
    if sop_class not in CT_CLASSES or sop_class in MULTI_FRAME_CLASSES:
        return ""
    values = {value.strip().upper() for value in image_type_of(header)}
    for value, name in _PAGES.items():
        if value in values:
            return name
    return "screen shot" if header.get("SamplesPerPixel") == 3 else ""


def representative_header(headers: Iterable[Dataset]) -> Dataset:
    """Returns the first header that may be a slice, else the first one; an empty one if none is.

    It stands for its series where rules decide, so that a localizer does not decide for slices.
    """
    first = None
    for header in headers:
        if not is_non_slice(header):
            return header
        first = header if first is None else first
    return Dataset() if first is None else first


def is_non_slice(header: Dataset) -> bool:
    """Returns whether the object is known not to hold slices; False if it cannot be read."""
    try:
        return bool(non_slice_type(header))
    except PARSE_ERRORS:
        return False


def without_non_slices(
    headers: Sequence[FileDataset],
) -> tuple[list[FileDataset], tuple[str, ...]]:
    """Returns the headers of slices, and the types of the other objects.

    If none may be a slice, all are kept, so that the checks that follow say what the series is.
    """
    types = [non_slice_type(header) for header in headers]
    if all(types):
        return list(headers), ()
    slices = [header for header, found in zip(headers, types, strict=True) if not found]
    return slices, tuple(sorted(found for found in types if found))


def counted(types: Iterable[str]) -> str:
    """Returns the types with their numbers, such as `2 localizers, 1 secondary capture`."""
    return ", ".join(
        f"{count} {name}{'s' if count > 1 else ''}" for name, count in Counter(types).items()
    )
