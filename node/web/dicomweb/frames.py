"""Single frames out of Part 10 files, without reading the others where the encoding allows it."""

from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.web.dicomweb.archive import reading

RAW = "application/octet-stream"
# PS3.18 Table 8.7.3-5.
_KINDS = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
# Tag and length, with the representation and two reserved bytes between them where explicit.
_IMPLICIT_HEAD_BYTES, _EXPLICIT_HEAD_BYTES = 8, 12
_LONGEST_LIST = 10_000
_MOST_DIGITS = 10  # Number of Frames has up to ten (PS3.5 6.2, IS)
# Far above the frames of mammography and of slides; a picture of one takes four times its bytes.
_MOST_FRAME_BYTES = 1 << 28


@dataclass(frozen=True)
class FramedImage:
    """An image file whose frames can be had one by one; numbers count from 1."""

    path: Path
    header: Dataset
    pixels_at: int  # byte in the file where the value of Pixel Data starts
    frame_count: int
    syntax: UID

    @classmethod
    def open(cls, path: Path) -> "FramedImage":
        """The image in a file; the request ends with 404 where there are no pixels in it.

        Raises:
            Transient: the file is gone or damaged.
        """
        with reading(path), path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True)
            at = file.tell()
            syntax: UID = header.file_meta.TransferSyntaxUID
            at += _IMPLICIT_HEAD_BYTES if syntax.is_implicit_VR else _EXPLICIT_HEAD_BYTES
            count = int(header.get("NumberOfFrames") or 1)
            if not syntax.is_valid:
                raise ValueError("the transfer syntax is no UID")
            has_frames = "Rows" in header
            if has_frames and not 0 < _bits_of_frame(header) <= _MOST_FRAME_BYTES * 8:
                raise ValueError("there are no frames of that size")
        if not has_frames:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the instance has no frames")
        return cls(path, header, at, count, syntax)

    def require(self, number: int) -> None:
        """Ends the request with 404 where there is no frame of that number."""
        if not 1 <= number <= self.frame_count:
            told = f"the instance has {self.frame_count} frames, not {number}"
            raise HTTPException(HTTPStatus.NOT_FOUND, told)

    @property
    def encoded_kind(self) -> str:
        """The media type of a frame as it is stored."""
        return _KINDS.get(self.syntax, RAW)

    def syntax_of(self, kind: str) -> str:
        """The transfer syntax of a frame that is given as `kind`."""
        return ExplicitVRLittleEndian if kind == RAW else str(self.syntax)

    def frame(self, number: int, kind: str) -> bytes:
        """A frame, decoded where `kind` is RAW, else as it is stored.

        Raises:
            Transient: the file is gone or damaged.
        """
        with reading(self.path):
            if kind != RAW:
                with self._value() as file:
                    return get_frame(file, number - 1, number_of_frames=self.frame_count)
            if not (self.syntax.is_encapsulated or self._must_be_read_whole):
                return self._native(number)
            pixels = self._pixels(number, raw=True)
            return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()

    def picture(self, number: int, kind: str) -> bytes:
        """A frame in its first window, 8 bits, as image/png or image/jpeg; grey or colour.

        Raises:
            Transient: the file is gone or damaged.
        """
        with reading(self.path):
            return self._picture(number, "PNG" if kind == "image/png" else "JPEG")

    def _picture(self, number: int, encoding: str) -> bytes:
        header, pixels = self.header, self._pixels(number, raw=False)
        if pixels.ndim == 2:
            rescaled = apply_modality_lut(pixels, header)
            values = np.asarray(apply_voi_lut(rescaled, header), np.float64)
            low, high = float(values.min()), float(values.max())
            # A frame of one value is black.
            pixels = ((values - low) / max(high - low, 1.0) * 255).astype(np.uint8)
            if header.PhotometricInterpretation == "MONOCHROME1":
                pixels = 255 - pixels
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, format=encoding)
        return buffer.getvalue()

    def _value(self) -> BinaryIO:
        file = self.path.open("rb")
        file.seek(self.pixels_at)
        return file

    def _native(self, number: int) -> bytes:
        """The bits of a frame; frames of one bit may begin within a byte (PS3.5 8.2)."""
        bits = _bits_of_frame(self.header)
        first = (number - 1) * bits
        count = (first % 8 + bits + 7) // 8
        with self._value() as file:
            file.seek(first // 8, 1)
            data = file.read(count)
        if len(data) < count:
            raise EOFError("the file ends within the frame")
        if first % 8 == 0 and bits % 8 == 0:
            return data
        unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return np.packbits(unpacked[first % 8 :][:bits], bitorder="little").tobytes()

    @property
    def _must_be_read_whole(self) -> bool:
        """Whether no frame can be reached without what comes before it, or pydicom says so."""
        return self.syntax.is_deflated or not self.syntax.is_little_endian

    def _pixels(self, number: int, *, raw: bool) -> NDArray[np.generic]:
        """A decoded frame, (row, column) or (row, column, sample); colours as RGB unless `raw`."""
        if not self._must_be_read_whole:
            return pixel_array(self.path, index=number - 1, raw=raw)
        frames = dcmread(self.path).pixel_array
        one: NDArray[np.generic] = frames if self.frame_count == 1 else frames[number - 1]
        return one


def _bits_of_frame(header: Dataset) -> int:
    samples = int(header.get("SamplesPerPixel") or 1)
    return int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated)


def numbers_from(text: str) -> tuple[int, ...]:
    """Frame numbers from `1,2,5`; the request ends with 400 where they are none."""
    parts = text.split(",")
    if len(parts) > _LONGEST_LIST or not all(map(_is_number, parts)):
        told = f"{text[:80]!r} is no list of frame numbers from 1"
        raise HTTPException(HTTPStatus.BAD_REQUEST, told)
    return tuple(int(part) for part in parts)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) > 0
