"""Search for DICOM files in files and folders that a person names."""

import re
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path

from pydicom import dcmread

from node.domain.errors import Rejected, RejectionReason

_PREFIX_OFFSET = 128  # PS3.10 7.1: 128 bytes of preamble, then DICM
# The first bytes of a data set that was written without a file header: the first elements of
# groups 0002 and 0008, little or big endian.
_DATASET_START = re.compile(
    rb"(\x02\x00[\x00-\x03]\x00|\x08\x00[\x00-\x18]\x00|\x00\x08\x00[\x00-\x18])"
)


def find_dicom_files(roots: Iterable[Path]) -> list[Path]:
    """Returns the DICOM files (PS3.10) among `roots` and in the folders below them.

    The files of each root are sorted by path.

    Raises:
        Rejected: there is no DICOM file, or a file holds a data set without a file header.
    """
    given = list(roots)
    found: list[Path] = []
    headerless: list[Path] = []
    for root in given:
        candidates = sorted(root.rglob("*")) if root.is_dir() else [root]
        for path in candidates:
            match _content_of(path) if path.is_file() else _Content.OTHER:
                case _Content.INSTANCE:
                    found.append(path)
                case _Content.DATASET_WITHOUT_HEADER:
                    headerless.append(path)
    if headerless:
        # If they were skipped, their slices would be missing from the volume of the others.
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"{len(headerless)} files, the first {headerless[0]}, seem to be DICOM without a file "
            "header (128 bytes and DICM). Convert them, for example with dcmtk's dcmconv +F.",
        )
    if not found:
        names = ", ".join(str(root) for root in given)
        message = f"There are no DICOM files in {names}."
        if not any(root.is_dir() for root in given):
            message = f"Not a DICOM file: {names}."
        raise Rejected(RejectionReason.UNREADABLE, message)
    return found


def group_by_series(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Returns the files by their Series Instance UID, which may be empty."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        header = dcmread(path, specific_tags=["SeriesInstanceUID"])
        found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(path)
    return found


class _Content(Enum):
    INSTANCE = auto()
    DATASET_WITHOUT_HEADER = auto()
    OTHER = auto()


def _content_of(path: Path) -> _Content:
    """Returns what the file holds; a DICOMDIR is not an instance."""
    with path.open("rb") as stream:
        head = stream.read(_PREFIX_OFFSET + 4)
    if path.name.upper() == "DICOMDIR":
        return _Content.OTHER
    if head[_PREFIX_OFFSET:] == b"DICM":
        return _Content.INSTANCE
    complete = len(head) == _PREFIX_OFFSET + 4
    if complete and _DATASET_START.match(head):
        return _Content.DATASET_WITHOUT_HEADER
    return _Content.OTHER
