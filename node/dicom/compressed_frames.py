"""The image size that a compressed frame states, compared with the header before it is decoded.

A decoder allocates and fills what the stream states. A stream of 100 bytes may state 65535 × 65535
pixels, and some decoders invent them: that takes minutes and gigabytes.
"""

import struct

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

_JPEG = frozenset({*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes})
_JPEG_2000 = frozenset(JPEG2000TransferSyntaxes)
# Markers of ISO 10918-1 table B.1 and ISO 14495-1: start of frame, and of a scan.
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA
# The size of an image in several resolutions, which DICOM does not have.
_DHP = 0xDE
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
# The start of a codestream and its size (ISO 15444-1 A.5.1).
_SOC_AND_SIZ = b"\xff\x4f\xff\x51"


def check_frames(dataset: Dataset) -> None:
    """Checks every compressed frame of a data set; see `check_frame`.

    Raises:
        ValueError: a frame has another size than the header.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in _JPEG | _JPEG_2000:
        return
    count = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(dataset.PixelData, number_of_frames=count):
        check_frame(frame, dataset, syntax)


def check_frame(frame: bytes, header: Dataset, syntax: str) -> None:
    """Checks that a frame states the Rows and Columns of the header; others than JPEG state none.

    Raises:
        ValueError: it states another size, or none.
    """
    if syntax in _JPEG:
        sizes = _jpeg_sizes(frame)
    elif syntax in _JPEG_2000:
        sizes = _jpeg_2000_sizes(frame)
    else:
        return
    expected = (int(header.Rows), int(header.Columns))
    if sizes != {expected}:
        raise ValueError("a compressed frame has another size than the header states")


def _jpeg_sizes(stream: bytes) -> set[tuple[int, int]]:
    """Returns rows and columns of each frame header before the first scan."""
    sizes, at = set(), 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # a fill byte, or a marker alone
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SOS:
            break
        (length,) = struct.unpack_from(">H", stream, at + 2)
        if marker in _SOF or marker == _DHP:
            if at + 9 > len(stream):
                break
            rows, columns = struct.unpack_from(">HH", stream, at + 5)
            sizes.add((rows, columns))
        at += 2 + length
    return sizes


def _jpeg_2000_sizes(stream: bytes) -> set[tuple[int, int]]:
    """Returns rows and columns of the codestream, without what lies before its offset."""
    at = stream.find(_SOC_AND_SIZ)
    if at < 0 or at + 24 > len(stream):
        return set()
    right, bottom, left, top = struct.unpack_from(">IIII", stream, at + 8)
    return {(bottom - top, right - left)}
