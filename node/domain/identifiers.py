"""Validated identifiers: UIDs and AE titles."""

import hashlib
import re
import uuid
from typing import Self

from node.domain.errors import Rejected, RejectionReason

# PS3.5 9.1: components of digits without leading zeros, joined by dots, at most 64 characters.
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
# Some scanners write leading zeros in components; the node accepts these UIDs because they
# identify real images. Only digits and dots pass, so a UID is safe as a file name.
_LENIENT_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64
_AE_TITLE_LENGTH = 16


class Uid(str):
    """A DICOM unique identifier: digits and dots, at most 64 characters (PS3.5 9.1).

    Raises:
        Rejected: the text is not a UID.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        # The standard pads with NUL; some senders pad with a space.
        bare = str(text).rstrip("\0 ")
        if len(bare) > _UID_LENGTH or not _LENIENT_UID.fullmatch(bare):
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"{bare[:80]!r} is not a valid DICOM UID"
            )
        return super().__new__(cls, bare)

    @property
    def is_strict(self) -> bool:
        """Whether the UID conforms to PS3.5 9.1 (no leading zeros)."""
        return _UID.fullmatch(self) is not None


class AeTitle(str):
    """An application entity title: 1 to 16 printable characters, no backslash (PS3.5 6.2).

    Raises:
        ValueError: the text is not an AE title.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        bare = str(text).strip(" ")
        if not 0 < len(bare) <= _AE_TITLE_LENGTH:
            raise ValueError(f"an AE title has 1 to 16 characters, {text!r} has {len(bare)}")
        if any(c == "\\" or not " " <= c <= "~" for c in bare):
            raise ValueError(f"{text!r} contains a character that is not allowed in an AE title")
        return super().__new__(cls, bare)


def mint_uid(*parts: str) -> Uid:
    """Returns the UID for these parts: the same parts always give the same UID.

    A UUID-derived UID (PS3.5 B.2) from the SHA-256 of the parts.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return Uid(f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}")
