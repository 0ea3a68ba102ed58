"""CT files from disk: headers parsed once, pixel data left on disk until it is needed."""

import errno
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from node.domain.errors import Rejected, RejectionReason, Transient

# Elements larger than this stay on disk: far above any header element, below any slice.
_DEFER_BYTES = 32 * 1024

# Functional groups are nested half a dozen deep. A copy takes Python some ten calls a level, of the
# thousand that it allows.
_DEEPEST_NESTING = 32

# Identification, acquisition, place in space and pixels (PS3.6 6).
_GROUPS_READ = frozenset({0x0008, 0x0018, 0x0020, 0x0028})
_PATIENT_ID = 0x00100020
_SINGLE_VALUED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
)

# What pydicom raises on bytes that are no DICOM, that stop half-way, or that are nested too deeply.
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
# What the system says where it is not the file that is bad, but the way to it.
_DISK_TROUBLES = {
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
    """The data sets of the files, each SOP instance once, pixel data deferred.

    SOP class and instance UIDs that anonymisers emptied are taken from the file meta information.

    Raises:
        Rejected: a file is no DICOM, is cut off, or there is no file at all.
        Transient: the disk cannot be read.
    """
    if not paths:
        raise Rejected(RejectionReason.UNREADABLE, "The series has no images.")
    headers: dict[str, FileDataset] = {}
    for path in paths:
        header = _load(path)
        # The same instance under two names is one instance: the first is kept.
        headers.setdefault(str(header.SOPInstanceUID) or str(path), header)
    return list(headers.values())


def _load(path: Path) -> FileDataset:
    try:
        header = dcmread(path, defer_size=_DEFER_BYTES)
        if header.file_meta.TransferSyntaxUID.is_deflated:
            # Offsets in a deflated stream are no offsets in the file: nothing can be deferred.
            header = dcmread(path)
        check_nesting(header)
        _complete_identifiers(header)
        _decode_what_is_read(header)
    except PARSE_ERRORS as error:
        if trouble := disk_trouble(error):
            raise trouble from error
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"The file {path.name} cannot be read as DICOM: {_first_line(error)}. "
            "Send the series again.",
        ) from error
    return header


def disk_trouble(error: Exception) -> Transient | None:
    """What came of reading a file, where the disk or network file system was in the way of it."""
    if isinstance(error, OSError) and error.errno in _DISK_TROUBLES:
        return Transient(f"an image cannot be read: {error.strerror}")
    return None


def check_nesting(header: Dataset) -> None:
    """See that no sequences are nested more than 32 deep, without going down into them.

    What copies, tells or writes a data set does go down. Where that comes to its end, pydicom
    doubles the text of its error with each level on the way up: a file of some kilobytes then
    takes all memory there is.

    Raises:
        RecursionError: they are.
    """
    level = [header]
    for _ in range(_DEEPEST_NESTING + 1):
        level = [item for dataset in level for item in _items(dataset)]
        if not level:
            return
    raise RecursionError


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """The items of all its sequences; one that cannot be read has none."""
    for tag in list(dataset.keys()):
        if not _may_be_sequence(tag, dataset.get_item(tag, keep_deferred=True).VR):
            continue
        try:
            value = dataset[tag].value
        except RecursionError:
            raise
        except PARSE_ERRORS:  # whoever wants it is told so
            continue
        if isinstance(value, Items):
            yield from value


def _may_be_sequence(tag: BaseTag, vr: str | None) -> bool:
    """Whether pydicom may make a sequence of it; without a VR it looks for one in dictionaries."""
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


def _decode_what_is_read(header: FileDataset) -> None:
    """Decode what says what and where the image is, so that damage shows here and not later.

    Raises:
        ValueError: one of the identifiers has several values; others as pydicom raises them.
    """
    for tag in list(header.keys()):
        if tag.group in _GROUPS_READ or tag == _PATIENT_ID:
            header[tag]
    for keyword in _SINGLE_VALUED:
        if isinstance(header.get(keyword), MultiValue):
            raise ValueError(f"it has several values of {keyword}")  # noqa: TRY004 of a data set


def without_pixels(header: Dataset) -> Dataset:
    """The header alone: its pixel data are let go."""
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in header:
            del header[keyword]
    return header


def _first_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "its sequences are nested too deeply"
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
