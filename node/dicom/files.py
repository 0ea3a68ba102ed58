"""Finding the DICOM files in what a person points at."""

from collections.abc import Iterable
from pathlib import Path

from node.domain.errors import Rejected, RejectionReason

_PREFIX_AT = 128  # PS3.10 7.1: 128 bytes of preamble, then DICM


def dicom_files(places: Iterable[Path]) -> list[Path]:
    """The DICOM files (PS3.10) among `places` and in the folders below them, in order of name.

    Raises:
        Rejected: there is none.
    """
    given = list(places)
    found: list[Path] = []
    for place in given:
        candidates = sorted(place.rglob("*")) if place.is_dir() else [place]
        found.extend(path for path in candidates if path.is_file() and _is_instance(path))
    if not found:
        names = ", ".join(str(place) for place in given)
        raise Rejected(RejectionReason.UNREADABLE, f"There are no DICOM files in {names}.")
    return found


def _is_instance(path: Path) -> bool:
    """Whether the file holds an instance; the directory of a medium does not."""
    with path.open("rb") as stream:
        head = stream.read(_PREFIX_AT + 4)
    return head[_PREFIX_AT:] == b"DICM" and path.name.upper() != "DICOMDIR"
