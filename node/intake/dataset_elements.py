"""Walks the top level of an encoded data set without decoding it (PS3.5 7.1).

Made for the door, where the sender is not trusted: it reads nothing beyond the stream, does not
recurse, however deep the sequences are nested, and looks at no more than a bounded head.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from node.domain.errors import Rejected, RejectionReason

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

# PS3.5 table 7.1-1: these value representations have a 32-bit length after two reserved bytes.
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
# The elements that say what an instance is come early: headers of CT are some kilobytes, and what
# has more than this before them is an attack. It bounds time and memory.
_HEAD_BYTES = 16 * 1024 * 1024
# A thousand uncompressed slices of 512 x 512 are as much. Deflated, a megabyte can be made to hold
# a gigabyte, and whoever reads it back needs the room.
_MOST_INFLATED_BYTES = 512 * 1024 * 1024
_INFLATED_AT_A_TIME = 1024 * 1024
# Structured reports, the deepest objects there are, stay below.
_DEEPEST_NESTING = 100


@dataclass(frozen=True)
class Encoding:
    """How elements are written: explicit or implicit VR, little or big endian."""

    explicit: bool
    little: bool

    @classmethod
    def of(cls, transfer_syntax_uid: str) -> "Encoding":
        """The encoding under a transfer syntax; compressed ones are explicit little endian."""
        return cls(
            explicit=transfer_syntax_uid != IMPLICIT_LITTLE,
            little=transfer_syntax_uid != EXPLICIT_BIG,
        )


@dataclass(frozen=True)
class Element:
    """A top-level element: `(group << 16) | element`, and where it lies in the stream.

    `head` is the offset of its tag, `start` of its value, `end` the one after; the value of a
    sequence of undefined length includes its delimiter.
    """

    tag: int
    head: int
    start: int
    end: int


def head_of(dataset: bytes, transfer_syntax_uid: str) -> bytes:
    """The first 16 MiB of the data set as elements, inflated where it is deflated (PS3.5 A.5).

    Raises:
        Rejected: what should be deflated is not, ends too early, or inflates to over 512 MiB.
    """
    if transfer_syntax_uid != DEFLATED:
        return dataset[:_HEAD_BYTES]
    head = bytearray()
    for inflated in _inflated(dataset):
        head += inflated[: _HEAD_BYTES - len(head)]
    return bytes(head)


def _inflated(dataset: bytes) -> Iterator[bytes]:
    """What a deflated data set holds, piece by piece."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    left, count = dataset, 0
    while not inflating.eof:
        try:
            piece = inflating.decompress(left, _INFLATED_AT_A_TIME)
        except zlib.error as error:
            raise _broken("its deflated data set cannot be inflated") from error
        left = inflating.unconsumed_tail
        if not piece and not left and not inflating.eof:
            raise _broken("its deflated data set ends too early")
        count += len(piece)
        if count > _MOST_INFLATED_BYTES:
            raise _broken(f"its deflated data set holds over {_MOST_INFLATED_BYTES >> 20} MiB")
        yield piece


def walk(stream: bytes, encoding: Encoding, offset: int = 0) -> Iterator[Element]:
    """The top-level elements from `offset` on.

    Raises:
        Rejected: the stream is not such elements, or ends within one.
    """
    while offset < len(stream):
        tag, explicit_vr, length, start = _element_head(stream, offset, encoding)
        if length == _UNDEFINED:
            # PS3.5 6.2.2 note 2: an UN of undefined length is encoded as implicit little endian.
            inner = Encoding(explicit=False, little=True) if explicit_vr == b"UN" else encoding
            end = _end_of_undefined(stream, start, inner)
        else:
            end = start + length
        if end > len(stream):
            raise _broken(f"it ends within the element {_name(tag)}")
        yield Element(tag, offset, start, end)
        offset = end


def uid_element(tag: int, uid: str, encoding: Encoding) -> bytes:
    """An element of VR UI, padded to even length (PS3.5 6.2)."""
    value = uid.encode("ascii") + b"\0" * (len(uid) % 2)
    order = "<" if encoding.little else ">"
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if encoding.explicit:
        return head + b"UI" + struct.pack(f"{order}H", len(value)) + value
    return head + struct.pack(f"{order}I", len(value)) + value


def _element_head(stream: bytes, offset: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
    """Tag, VR (empty when implicit or an item), length and the offset of the value."""
    order = "<" if encoding.little else ">"
    try:
        group, element = struct.unpack_from(f"{order}HH", stream, offset)
        tag = group << 16 | element
        if not encoding.explicit or group == 0xFFFE:
            return tag, b"", struct.unpack_from(f"{order}I", stream, offset + 4)[0], offset + 8
        vr = stream[offset + 4 : offset + 6]
        if not (vr.isalpha() and vr.isupper()):
            raise _broken(f"the element {_name(tag)} has no value representation")
        if vr in _LONG_VRS:
            return tag, vr, struct.unpack_from(f"{order}I", stream, offset + 8)[0], offset + 12
        return tag, vr, struct.unpack_from(f"{order}H", stream, offset + 6)[0], offset + 8
    except struct.error as error:
        raise _broken("it ends within an element") from error


def _end_of_undefined(stream: bytes, offset: int, encoding: Encoding) -> int:
    """The offset after the delimiter that closes what was opened before `offset`.

    A stack of what is open, in place of recursion: `True` where elements follow (an item of
    undefined length), `False` where items do (a sequence, or pixel data in fragments).
    """
    open_items = [(False, encoding)]
    while open_items:
        if len(open_items) > _DEEPEST_NESTING:
            raise _broken("its sequences are nested too deeply")
        in_item, inner = open_items[-1]
        tag, vr, length, start = _element_head(stream, offset, inner)
        offset = start
        if tag == (_ITEM_END if in_item else _SEQUENCE_END):
            open_items.pop()
        elif in_item != (tag == _ITEM):
            if length == _UNDEFINED:
                within = Encoding(explicit=False, little=True) if vr == b"UN" else inner
                open_items.append((not in_item, within))
            else:
                offset += length
        else:
            raise _broken("its sequences are not nested properly")
        if offset > len(stream):
            raise _broken("it ends within a sequence")
    return offset


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _broken(what: str) -> Rejected:
    return Rejected(
        RejectionReason.INVALID_INSTANCE, f"the instance cannot be read as DICOM: {what}"
    )
