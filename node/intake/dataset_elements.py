"""Iterates over the top-level elements of an encoded data set without decoding them (PS3.5 7.1).

It is safe for untrusted input: it reads nothing beyond the stream, does not recurse, however deep
the sequences are nested, and reads at most a head of limited size.
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
# The elements that identify an instance come early: the header of a CT image has some kilobytes. A
# data set with more than this before them is an attack. The limit bounds time and memory.
_HEAD_BYTES = 16 * 1024 * 1024
# The size of a thousand uncompressed slices of 512 x 512. A deflated megabyte can inflate to a
# gigabyte, and every later reader needs that memory.
_MAX_INFLATED_BYTES = 512 * 1024 * 1024
_INFLATE_CHUNK_BYTES = 1024 * 1024
# Structured reports are the deepest objects in use and stay below this.
_MAX_NESTING = 100


@dataclass(frozen=True)
class Encoding:
    """The encoding of elements: explicit or implicit VR, little or big endian."""

    explicit: bool
    little: bool

    @classmethod
    def for_transfer_syntax(cls, transfer_syntax_uid: str) -> "Encoding":
        """Returns the encoding of a transfer syntax; compressed ones are explicit little endian."""
        return cls(
            explicit=transfer_syntax_uid != IMPLICIT_LITTLE,
            little=transfer_syntax_uid != EXPLICIT_BIG,
        )


@dataclass(frozen=True)
class Element:
    """A top-level element: its tag `(group << 16) | element` and its offsets in the stream.

    `offset` is where the tag starts, `value_start` where the value starts, and `end` follows the
    value. The value of a sequence of undefined length includes its delimiter.
    """

    tag: int
    offset: int
    value_start: int
    end: int


def inflated_head(dataset: bytes, transfer_syntax_uid: str) -> bytes:
    """Returns the first 16 MiB of the data set, inflated if it is deflated (PS3.5 A.5).

    Raises:
        Rejected: the deflated data set is invalid, ends too early or inflates to over 512 MiB.
    """
    if transfer_syntax_uid != DEFLATED:
        return dataset[:_HEAD_BYTES]
    head = bytearray()
    for piece in inflated_pieces(dataset):
        head += piece[: _HEAD_BYTES - len(head)]
    return bytes(head)


def inflated_pieces(dataset: bytes) -> Iterator[bytes]:
    """Inflates a deflated data set piece by piece.

    Raises:
        Rejected: it is invalid, ends too early or inflates to over 512 MiB.
    """
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    remaining, count = dataset, 0
    while not decompressor.eof:
        try:
            piece = decompressor.decompress(remaining, _INFLATE_CHUNK_BYTES)
        except zlib.error as error:
            raise _invalid("its deflated data set cannot be inflated") from error
        remaining = decompressor.unconsumed_tail
        if not piece and not remaining and not decompressor.eof:
            raise _invalid("its deflated data set ends too early")
        count += len(piece)
        if count > _MAX_INFLATED_BYTES:
            raise _invalid(f"its deflated data set holds over {_MAX_INFLATED_BYTES >> 20} MiB")
        yield piece


def iter_elements(stream: bytes, encoding: Encoding, offset: int = 0) -> Iterator[Element]:
    """Yields the top-level elements from `offset` on.

    Raises:
        Rejected: the stream does not consist of elements, or ends within one.
    """
    while offset < len(stream):
        tag, explicit_vr, length, start = _element_head(stream, offset, encoding)
        if length == _UNDEFINED:
            # PS3.5 6.2.2 note 2: UN of undefined length is encoded as implicit little endian.
            inner = Encoding(explicit=False, little=True) if explicit_vr == b"UN" else encoding
            end = _end_of_undefined(stream, start, inner)
        else:
            end = start + length
        if end > len(stream):
            raise _invalid(f"it ends within the element {_tag_text(tag)}")
        yield Element(tag, offset, start, end)
        offset = end


def encode_uid_element(tag: int, uid: str, encoding: Encoding) -> bytes:
    """Encodes an element of VR UI, padded to even length (PS3.5 6.2)."""
    value = uid.encode("ascii") + b"\0" * (len(uid) % 2)
    order = "<" if encoding.little else ">"
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if encoding.explicit:
        return head + b"UI" + struct.pack(f"{order}H", len(value)) + value
    return head + struct.pack(f"{order}I", len(value)) + value


def _element_head(stream: bytes, offset: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
    """Returns tag, VR (empty for implicit VR and items), length and the offset of the value."""
    order = "<" if encoding.little else ">"
    try:
        group, element = struct.unpack_from(f"{order}HH", stream, offset)
        tag = group << 16 | element
        if not encoding.explicit or group == 0xFFFE:
            return tag, b"", struct.unpack_from(f"{order}I", stream, offset + 4)[0], offset + 8
        vr = stream[offset + 4 : offset + 6]
        if not (vr.isalpha() and vr.isupper()):
            raise _invalid(f"the element {_tag_text(tag)} has no value representation")
        if vr in _LONG_VRS:
            return tag, vr, struct.unpack_from(f"{order}I", stream, offset + 8)[0], offset + 12
        return tag, vr, struct.unpack_from(f"{order}H", stream, offset + 6)[0], offset + 8
    except struct.error as error:
        raise _invalid("it ends within an element") from error


def _end_of_undefined(stream: bytes, offset: int, encoding: Encoding) -> int:
    """Returns the offset after the delimiter that closes the sequence opened before `offset`.

    A stack of open levels replaces recursion: `True` for an item of undefined length, which
    contains elements; `False` for a sequence or encapsulated pixel data, which contain items.
    """
    open_levels = [(False, encoding)]
    while open_levels:
        if len(open_levels) > _MAX_NESTING:
            raise _invalid("its sequences are nested too deeply")
        in_item, inner = open_levels[-1]
        tag, vr, length, start = _element_head(stream, offset, inner)
        offset = start
        if tag == (_ITEM_END if in_item else _SEQUENCE_END):
            open_levels.pop()
        elif in_item != (tag == _ITEM):
            if length == _UNDEFINED:
                within = Encoding(explicit=False, little=True) if vr == b"UN" else inner
                open_levels.append((not in_item, within))
            else:
                offset += length
        else:
            raise _invalid("its sequences are not nested properly")
        if offset > len(stream):
            raise _invalid("it ends within a sequence")
    return offset


def _tag_text(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _invalid(what: str) -> Rejected:
    return Rejected(
        RejectionReason.INVALID_INSTANCE, f"the instance cannot be read as DICOM: {what}"
    )
