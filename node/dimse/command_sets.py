"""Encodes and decodes the command sets that are sent for each image (PS3.7 6.3.1).

pynetdicom encodes every command set by two data sets of pydicom, and decodes it by one. For an
image, that takes as long as everything else that Python does.
"""

import struct
from collections.abc import Sequence

_ELEMENT = struct.Struct("<HHL")  # group, element, length (PS3.5 7.1.3)
_UNSIGNED_SHORT, _UNSIGNED_LONG = struct.Struct("<H"), struct.Struct("<L")
# Fragments of a command and of a data set (PS3.8 E.2).
COMMAND_FRAGMENT, LAST_COMMAND_FRAGMENT = b"\x01", b"\x03"
DATA_FRAGMENT, LAST_DATA_FRAGMENT = b"\x00", b"\x02"
# The length and the context of a presentation data value, and its header (PS3.8 9.3.5.1).
ITEM_HEADER_BYTES = 6


def encoded_command(elements: Sequence[tuple[int, int | str]]) -> bytes:
    """Returns a command set of these elements, in their order: UIDs and unsigned shorts."""
    content = b"".join(_encoded(element, value) for element, value in elements)
    return _ELEMENT.pack(0, 0, _UNSIGNED_LONG.size) + _UNSIGNED_LONG.pack(len(content)) + content


def decoded_command(content: bytes) -> dict[int, bytes] | None:
    """Returns the values of a command set by element; None if it is not well-formed.

    In a well-formed one, each element of the group 0000 is there once, in ascending order.
    """
    values: dict[int, bytes] = {}
    start, last = 0, -1
    while start + _ELEMENT.size <= len(content):
        group, element, length = _ELEMENT.unpack_from(content, start)
        start += _ELEMENT.size
        if group != 0 or element <= last or start + length > len(content):
            return None
        values[element] = content[start : start + length]
        start, last = start + length, element
    return values if start == len(content) else None


def _encoded(element: int, value: int | str) -> bytes:
    if isinstance(value, int):
        encoded = _UNSIGNED_SHORT.pack(value)
    else:
        encoded = value.encode("ascii")
        encoded += b"\0" * (len(encoded) % 2)
    return _ELEMENT.pack(0, element, len(encoded)) + encoded
