"""Small CT files that state huge images, in the header or in the compressed stream alone."""

import struct
from collections.abc import Callable, Mapping

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.dicom.builders import CtFiles
from tests.support.dicom.small_ct import small_ct

HUGE = 65535


def _in_header(dataset: Dataset) -> None:
    dataset.Rows = dataset.Columns = HUGE


def _in_number_of_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = (1 << 31) - 1


def _in_jpeg_ls(dataset: Dataset) -> None:
    stream = _stream(dataset)
    struct.pack_into(">HH", stream, stream.index(b"\xff\xf7") + 5, HUGE, HUGE)
    dataset.PixelData = encapsulate([bytes(stream)])


def _in_jpeg_2000(dataset: Dataset) -> None:
    stream = _stream(dataset)
    size = stream.index(b"\xff\x51") + 6
    struct.pack_into(">II", stream, size, HUGE, HUGE)
    struct.pack_into(">II", stream, size + 16, HUGE, HUGE)  # one tile
    dataset.PixelData = encapsulate([bytes(stream)])


def _in_jpeg_lossless(dataset: Dataset) -> None:
    frame = b"\xff\xc3" + struct.pack(">HBHHBBBB", 11, 16, HUGE, HUGE, 1, 1, 0x11, 0)
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0) + bytes([0, 1, *[0] * 14, 0])
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0) + bytes(100)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = encapsulate([b"\xff\xd8" + frame + table + scan + b"\xff\xd9"])


def _stream(dataset: Dataset) -> bytearray:
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    return bytearray(frame)


# By what states the size: the transfer syntax of the series, and the change of each file.
HUGE_IMAGES: Mapping[str, tuple[str, Callable[[Dataset], None]]] = {
    "rows and columns": (ExplicitVRLittleEndian, _in_header),
    "rows and columns, RLE": (RLELossless, _in_header),
    "number of frames": (ExplicitVRLittleEndian, _in_number_of_frames),
    "JPEG-LS stream": (JPEGLSLossless, _in_jpeg_ls),
    "JPEG 2000 stream": (JPEG2000Lossless, _in_jpeg_2000),
    "JPEG lossless stream": (ExplicitVRLittleEndian, _in_jpeg_lossless),
}


def huge_ct(name: str) -> CtFiles:
    """Returns a small series whose files state huge images."""
    syntax, change = HUGE_IMAGES[name]
    files = small_ct(syntax)
    for dataset in files.datasets:
        change(dataset)
    return files
