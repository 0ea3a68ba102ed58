"""Finding the DICOM files in what a person points at."""

import re
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path

from pydicom import dcmread

from node.domain.errors import Rejected, RejectionReason

_PREFIX_AT = 128  # PS3.10 7.1: 128 bytes of preamble, then DICM
# How a data set begins that was written without a file's head: groups 0002 and 0008, their first
# elements, little or big endian.
_BARE = re.compile(rb"(\x02\x00[\x00-\x03]\x00|\x08\x00[\x00-\x18]\x00|\x00\x08\x00[\x00-\x18])")


def dicom_files(places: Iterable[Path]) -> list[Path]:
    """The DICOM files (PS3.10) among `places` and in the folders below them, in order of name.

    Raises:
        Rejected: there is none, or a file holds a data set without the head that makes it a file.
    """
    given = list(places)
    found: list[Path] = []
    bare: list[Path] = []
    for place in given:
        candidates = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in candidates:
            match _kind_of(path) if path.is_file() else _Kind.OTHER:
                case _Kind.INSTANCE:
                    found.append(path)
                case _Kind.BARE:
                    bare.append(path)
    if bare:
        # Passed over in silence, they would be missing in what is made of the others.
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"{len(bare)} files, the first {bare[0]}, seem to be DICOM without a file header "
            "(128 bytes and DICM). Convert them, such as with dcmtk's dcmconv +F.",
        )
    if not found:
        names = ", ".join(str(place) for place in given)
        raise Rejected(RejectionReason.UNREADABLE, f"There are no DICOM files in {names}.")
    return found


def by_series(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The files by the Series Instance UID that they give, which may be empty."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        header = dcmread(path, specific_tags=["SeriesInstanceUID"])
        found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(path)
    return found


class _Kind(Enum):
    """What a file holds."""

    INSTANCE = auto()
    BARE = auto()  # a data set without a file's head
    OTHER = auto()


def _kind_of(path: Path) -> _Kind:
    """What the file holds; the directory of a medium is no instance."""
    with path.open("rb") as stream:
        head = stream.read(_PREFIX_AT + 4)
    if path.name.upper() == "DICOMDIR":
        return _Kind.OTHER
    if head[_PREFIX_AT:] == b"DICM":
        return _Kind.INSTANCE
    whole = len(head) == _PREFIX_AT + 4
    return _Kind.BARE if whole and _BARE.match(head) else _Kind.OTHER
