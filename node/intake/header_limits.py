"""Limits on the header of an instance: all of its data set but the pixel data.

Who reads a header later needs some hundred bytes and microseconds for each element, and a tenth of
a millisecond for each item of a sequence. Without a limit, one instance of 2 GiB stops a worker.
"""

import struct
import threading
from collections.abc import Iterator

from node.domain.errors import Rejected, RejectionReason
from node.intake.dataset_elements import DEFLATED, Encoding, inflated_pieces, iter_elements

# A multi-frame CT of 10,000 frames has 30 MB, and a segmentation of 100 organs in 600 slices 40 MB
# with 500,000 items.
MAX_HEADER_BYTES = 128 << 20
MAX_ITEMS = 1_000_000
# Float, double and integer pixel data (PS3.6).
_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# The tag of an item, little and big endian. With its length, it is the shortest item.
_ITEM_TAGS = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
_ITEM_BYTES = 8
# An inflated data set has up to 512 MiB; one at a time is in memory.
_INFLATING = threading.Lock()


def check_header(dataset: bytes, transfer_syntax_uid: str) -> None:
    """Checks the size of the header and the number of its items.

    Raises:
        Rejected: it exceeds a limit, or a deflated data set cannot be inflated.
    """
    encoding = Encoding.for_transfer_syntax(transfer_syntax_uid)
    if transfer_syntax_uid != DEFLATED:
        _check(dataset, encoding)
        return
    size = sum(len(piece) for piece in inflated_pieces(dataset))
    if _may_exceed(size):
        with _INFLATING:
            _check(b"".join(inflated_pieces(dataset)), encoding)


def _check(dataset: bytes, encoding: Encoding) -> None:
    if not _may_exceed(len(dataset)):
        return
    size = items = 0
    for start, end in _header_ranges(dataset, encoding):
        size += end - start
        items += dataset.count(_ITEM_TAGS[encoding.little], start, end)
        if size > MAX_HEADER_BYTES:
            raise _too_large(f"a header of over {MAX_HEADER_BYTES >> 20} MiB")
        if items > MAX_ITEMS:
            raise _too_large(f"over {MAX_ITEMS:,} items of sequences")


def _may_exceed(size: int) -> bool:
    """Whether a data set of this size can exceed a limit; most are smaller."""
    return size > min(MAX_HEADER_BYTES, MAX_ITEMS * _ITEM_BYTES)


def _header_ranges(dataset: bytes, encoding: Encoding) -> Iterator[tuple[int, int]]:
    """Yields where the header is in the data set: each element but the pixel data.

    Of a data set that is damaged, the rest after the last complete element counts.
    """
    end = 0
    try:
        for element in iter_elements(dataset, encoding):
            end = element.end
            if element.tag not in _PIXEL_DATA:
                yield element.offset, end
    except Rejected:
        if not _starts_pixel_data(dataset, end, encoding):  # as pixel data that are cut off
            yield end, len(dataset)


def _starts_pixel_data(dataset: bytes, offset: int, encoding: Encoding) -> bool:
    order = "<HH" if encoding.little else ">HH"
    group, number = struct.unpack(order, dataset[offset : offset + 4].ljust(4, b"\0"))
    return (group << 16 | number) in _PIXEL_DATA


def _too_large(what: str) -> Rejected:
    return Rejected(
        RejectionReason.INVALID_INSTANCE, f"the instance cannot be accepted: it has {what}"
    )
