"""Encoded sequences that are nested far deeper than in any real data set (PS3.5 7.5)."""

import struct
from collections.abc import Callable

Nesting = Callable[[int, int], bytes]
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_UNDEFINED = 0xFFFFFFFF


def with_undefined_length(tag: int, depth: int) -> bytes:
    """Encodes sequence in item in sequence, `depth` levels, all of undefined length."""
    opening = _sequence(tag, _UNDEFINED) + _item(_ITEM, _UNDEFINED)
    closing = _item(_ITEM_END, 0) + _item(_SEQUENCE_END, 0)
    return opening * depth + closing * depth


def with_defined_length(tag: int, depth: int) -> bytes:
    """Encodes the same with defined lengths, so that a reader can skip the sequence."""
    inner = len(_sequence(tag, 0) + _item(_ITEM, 0))
    item_head = len(_item(_ITEM, 0))
    return b"".join(
        _sequence(tag, inner * below + item_head) + _item(_ITEM, inner * below)
        for below in reversed(range(depth))
    )


def with_defined_outer_length(tag: int, depth: int) -> bytes:
    """Encodes one sequence of defined length around `depth` levels of undefined length."""
    content = with_undefined_length(tag, depth)
    item = _item(_ITEM, len(content)) + content
    return _sequence(tag, len(item)) + item


def _sequence(tag: int, length: int) -> bytes:
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, length)


def _item(element: int, length: int) -> bytes:
    return struct.pack("<HHI", 0xFFFE, element, length)
