"""Reading of CT files: headers are parsed once, pixel data stay on disk until they are needed."""

import errno
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from node.dicom.ct.repeated_elements import RepeatedElements
from node.domain.errors import Rejected, RejectionReason, Transient

# Elements larger than this stay on disk: larger than any header element, smaller than any slice.
_DEFER_BYTES = 32 * 1024

# Functional groups are nested about six deep. A copy takes Python about ten calls per level, and
# Python allows about a thousand.
_MAX_NESTING = 32

# Identification, acquisition, geometry and pixels (PS3.6 6).
_USED_GROUPS = frozenset({0x0008, 0x0018, 0x0020, 0x0028})
_PATIENT_ID = 0x00100020
_SINGLE_VALUED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
)

# pydicom's exceptions for bytes that are not DICOM, are cut off or are nested too deeply.
PARSE_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    NotImplementedError,
    ArithmeticError,
    RecursionError,
)
# Error numbers that mean that the disk or network file system failed, not that the file is bad.
_DISK_ERRNOS = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
}


def load_headers(paths: Sequence[Path]) -> list[FileDataset]:
    """Returns the data sets of the files, each SOP instance once, with pixel data deferred.

    SOP class and instance UIDs that an anonymiser emptied come from the file meta information.

    Raises:
        Rejected: a file is not DICOM or is cut off, or `paths` is empty.
        Transient: the disk cannot be read.
    """
    if not paths:
        raise Rejected(RejectionReason.UNREADABLE, "The series has no images.")
    headers: dict[str, FileDataset] = {}
    repeated = RepeatedElements()
    for path in paths:
        header = _load(path, repeated)
        # Two files of the same instance count once: the first is kept.
        headers.setdefault(str(header.SOPInstanceUID) or str(path), header)
    return list(headers.values())


def readable_headers(paths: Sequence[Path]) -> list[Dataset]:
    """Returns the headers, without pixel data, of the files that can be read.

    Raises:
        Transient: the disk cannot be read.
    """
    headers: list[Dataset] = []
    repeated = RepeatedElements()
    for path in paths:
        with suppress(Rejected):
            headers.append(drop_pixel_data(_load(path, repeated)))
    return headers


def _load(path: Path, repeated: RepeatedElements) -> FileDataset:
    try:
        header = dcmread(path, defer_size=_DEFER_BYTES)
        if header.file_meta.TransferSyntaxUID.is_deflated:
            # Offsets in a deflated stream are not file offsets, so nothing can be deferred.
            header = dcmread(path)
        check_nesting(header)
        _complete_identifiers(header)
        _decode_used_elements(header, repeated)
    except PARSE_ERRORS as error:
        if transient := disk_error(error):
            raise transient from error
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"The file {path.name} cannot be read as DICOM: {_first_line(error)}. "
            "Delete the series from the node, then send it again: the node keeps the first copy of "
            "each image.",
        ) from error
    return header


def disk_error(error: Exception) -> Transient | None:
    """Returns the error to raise if the disk or network file system caused `error`, else None."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRNOS:
        return Transient(f"an image cannot be read: {error.strerror}")
    return None


def check_nesting(header: Dataset) -> None:
    """Checks, without recursion, that sequences are nested at most 32 levels deep.

    Code that copies, prints or writes a data set recurses into its sequences. If the recursion
    limit is reached there, pydicom doubles the text of its error on each level on the way up, and
    a file of a few kilobytes uses all memory.

    Raises:
        RecursionError: sequences are nested more deeply.
    """
    level = [header]
    for _ in range(_MAX_NESTING + 1):
        level = [item for dataset in level for item in _items(dataset)]
        if not level:
            return
    raise RecursionError


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Yields the items of all sequences; a sequence that cannot be read has none."""
    for tag in list(dataset.keys()):
        if not _may_be_sequence(tag, dataset.get_item(tag, keep_deferred=True).VR):
            continue
        try:
            value = dataset[tag].value
        except RecursionError:
            raise
        except PARSE_ERRORS:  # raised again when the element is used
            continue
        if isinstance(value, Items):
            yield from value


def _may_be_sequence(tag: BaseTag, vr: str | None) -> bool:
    """Returns whether pydicom may parse the element as a sequence.

    Without a VR, pydicom takes the VR from its dictionaries.
    """
    if vr not in (None, "UN"):
        return vr == "SQ"
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return tag.is_private


def _complete_identifiers(header: FileDataset) -> None:
    if not header.get("SOPClassUID"):
        header.SOPClassUID = header.file_meta.get("MediaStorageSOPClassUID", "")
    if not header.get("SOPInstanceUID"):
        header.SOPInstanceUID = header.file_meta.get("MediaStorageSOPInstanceUID", "")


def _decode_used_elements(header: FileDataset, repeated: RepeatedElements) -> None:
    """Decodes the elements that the reader uses, so that damage is detected here and not later.

    Raises:
        ValueError: an identifier has several values; pydicom raises further exceptions.
    """
    used = [tag for tag in header.keys() if tag.group in _USED_GROUPS or tag == _PATIENT_ID]  # noqa: SIM118 a data set iterates over its elements
    repeated.decode(header, used)
    for keyword in _SINGLE_VALUED:
        if isinstance(header.get(keyword), MultiValue):
            raise ValueError(f"it has several values of {keyword}")  # noqa: TRY004 of a data set


def drop_pixel_data(header: Dataset) -> Dataset:
    """Removes the pixel data from the header in place and returns it."""
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in header:
            del header[keyword]
    return header


def _first_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "its sequences are nested too deeply"
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
