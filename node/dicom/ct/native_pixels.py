"""Uncompressed pixels of a CT object, read from their file without a copy of its pixel data.

pydicom reads every object; this module reads the common form alone, several times as fast: 16 bits
for each pixel, little endian. The values are those of pydicom's decoder.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

_SYNTAXES = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian})
_BITS = 16
_BYTES = _BITS // 8
_ACCEPTED: Mapping[str, Container[object]] = {
    "SamplesPerPixel": (1,),
    "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2"),
    "BitsAllocated": (_BITS,),
    "BitsStored": range(1, _BITS + 1),
    "PixelRepresentation": (0, 1),
}


@dataclass(frozen=True)
class NativePixels:
    """Where the frames of an object lie in its file, one after the other.

    `size` is rows and columns. The highest `unused_bits` of a pixel may hold anything (PS3.5
    8.1.1).
    """

    path: Path
    offset: int  # of the first frame, in bytes
    size: tuple[int, int]
    is_signed: bool
    unused_bits: int

    def frame(self, index: int, buffer: NDArray[np.int16]) -> NDArray[np.integer] | None:
        """Reads the stored values of the frame, from 0, into `buffer`, (row, column).

        Returns them as they are signed. Returns None if the file does not hold them any more.
        """
        rows, columns = self.size
        length = rows * columns * _BYTES
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.offset + index * length)
                count = file.readinto(buffer.data)
        except OSError:
            return None
        if count != length:
            return None
        stored: NDArray[np.integer] = buffer.view("<i2" if self.is_signed else "<u2")
        if self.unused_bits:
            np.left_shift(stored, self.unused_bits, out=stored)
            np.right_shift(stored, self.unused_bits, out=stored)
        return stored


def native_pixels(header: Dataset) -> NativePixels | None:
    """Returns where the pixels of an object lie whose header was read with pixel data deferred.

    Returns None for any other form, and for pixel data with another length than the header says.
    """
    if not isinstance(header, FileDataset) or not isinstance(header.filename, str):
        return None
    if header.file_meta.get("TransferSyntaxUID") not in _SYNTAXES:
        return None
    if any(header.get(keyword) not in accepted for keyword, accepted in _ACCEPTED.items()):
        return None
    bits_stored = int(header.BitsStored)
    offset = _deferred_offset(header)
    if offset is None or header.get("HighBit") != bits_stored - 1:
        return None
    return NativePixels(
        Path(header.filename),
        offset,
        (header.Rows, header.Columns),
        is_signed=header.PixelRepresentation == 1,
        unused_bits=_BITS - bits_stored,
    )


def _deferred_offset(header: FileDataset) -> int | None:
    """Returns where the value of PixelData starts; None if it was read or has a wrong length."""
    if "PixelData" not in header:
        return None
    pixel_data: object = header.get_item("PixelData", keep_deferred=True)
    if not isinstance(pixel_data, RawDataElement) or pixel_data.value is not None:
        return None
    frames = int(header.get("NumberOfFrames") or 1)
    length = frames * header.Rows * header.Columns * _BYTES
    if pixel_data.VR not in (None, "OW") or pixel_data.length != length:
        return None
    return pixel_data.value_tell
