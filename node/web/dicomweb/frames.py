"""Single frames of Part 10 files, read without the other frames where the encoding allows it."""

from collections.abc import Iterator
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

from node.dicom.compressed_frames import check_frame
from node.dicom.display_window import DisplayWindow, rescaled
from node.web.dicomweb.archive import file_errors_as_transient

UNCOMPRESSED = "application/octet-stream"
# PS3.18 Table 8.7.3-5.
_MEDIA_TYPES = {
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
# Tag and length; with explicit VR, the VR and two reserved bytes between them.
_IMPLICIT_VR_HEADER_BYTES, _EXPLICIT_VR_HEADER_BYTES = 8, 12
_MAX_FRAME_NUMBERS = 10_000
_MAX_DIGITS = 10  # Number of Frames has up to ten (PS3.5 6.2, IS)
# Far above the frames of mammography and of slides; rendering one takes four times its bytes.
_MAX_FRAME_BYTES = 1 << 28


@dataclass(frozen=True)
class ImageFile:
    """An image file with access to single frames; frame numbers count from 1."""

    path: Path
    header: Dataset
    pixel_data_offset: int  # bytes from the start of the file to the value of Pixel Data
    frame_count: int
    transfer_syntax: UID

    @classmethod
    def open(cls, path: Path) -> "ImageFile":
        """Reads the header of an image file; the request ends with 404 if it has no pixels.

        Raises:
            Transient: the file is missing or damaged.
        """
        with file_errors_as_transient(path), path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True)
            offset = file.tell()
            syntax: UID = header.file_meta.TransferSyntaxUID
            implicit = syntax.is_implicit_VR
            offset += _IMPLICIT_VR_HEADER_BYTES if implicit else _EXPLICIT_VR_HEADER_BYTES
            count = int(header.get("NumberOfFrames") or 1)
            if not syntax.is_valid:
                raise ValueError("the transfer syntax is not a UID")
            has_frames = "Rows" in header
            if has_frames and not 0 < _frame_bits(header) <= _MAX_FRAME_BYTES * 8:
                raise ValueError("the frame size is out of range")
        if not has_frames:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the instance has no frames")
        return cls(path, header, offset, count, syntax)

    def require_frame(self, number: int) -> None:
        """Ends the request with 404 when there is no frame of that number."""
        if not 1 <= number <= self.frame_count:
            message = f"the instance has {self.frame_count} frames, not {number}"
            raise HTTPException(HTTPStatus.NOT_FOUND, message)

    @property
    def stored_media_type(self) -> str:
        """The media type of a frame as it is stored."""
        return _MEDIA_TYPES.get(self.transfer_syntax, UNCOMPRESSED)

    def transfer_syntax_as(self, media_type: str) -> str:
        """Returns the transfer syntax of a frame that is sent as `media_type`."""
        uncompressed = media_type == UNCOMPRESSED
        return ExplicitVRLittleEndian if uncompressed else str(self.transfer_syntax)

    def frame(self, number: int, media_type: str) -> bytes:
        """Returns a frame: decoded if `media_type` is UNCOMPRESSED, else as it is stored.

        Raises:
            Transient: the file is missing or damaged.
        """
        with file_errors_as_transient(self.path):
            if media_type != UNCOMPRESSED:
                with self._pixel_data() as file:
                    return get_frame(file, number - 1, number_of_frames=self.frame_count)
            if not (self.transfer_syntax.is_encapsulated or self._needs_whole_dataset):
                return self._native_frame(number)
            pixels = self._decode(number, raw=True)
            return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()

    def native_pixel_data(self) -> Iterator[bytes]:
        """Yields Pixel Data without compression, little endian, in native format (PS3.5 8.1).

        Raises:
            Transient: the file is missing or damaged.
        """
        bits = _frame_bits(self.header)
        if bits % 8 == 0 or self.transfer_syntax.is_encapsulated:
            for number in range(1, self.frame_count + 1):
                yield self.frame(number, UNCOMPRESSED)
            return
        with file_errors_as_transient(self.path):  # frames that begin within a byte
            value: bytes = dcmread(self.path).PixelData
        yield value

    def render(
        self,
        number: int,
        media_type: str,
        max_size: int | None = None,
        window: DisplayWindow | None = None,
    ) -> bytes:
        """Returns a frame as image/png or image/jpeg: 8 bits, grey or colour.

        Grey values are shown in `window`, or in the first window of the image. With `max_size`,
        neither side of the picture has more pixels.

        Raises:
            Transient: the file is missing or damaged.
        """
        encoding = "PNG" if media_type == "image/png" else "JPEG"
        with file_errors_as_transient(self.path):
            return self._render(number, encoding, max_size, window)

    def _render(
        self, number: int, encoding: str, max_size: int | None, window: DisplayWindow | None
    ) -> bytes:
        pixels = self._decode(number, raw=False)
        if pixels.ndim == 2:
            pixels = self._brightness(pixels, number, window)
        picture = Image.fromarray(pixels)
        if max_size is not None:
            picture.thumbnail((max_size, max_size))
        buffer = BytesIO()
        picture.save(buffer, format=encoding)
        return buffer.getvalue()

    def _brightness(
        self, pixels: NDArray[np.generic], number: int, window: DisplayWindow | None
    ) -> NDArray[np.uint8]:
        """Returns the brightness of stored values, 0 to 255: (row, column)."""
        header = self.header
        if window is not None:
            brightness = window.brightness(rescaled(pixels, header, number))
        else:
            values = np.asarray(apply_voi_lut(apply_modality_lut(pixels, header), header), float)
            low, high = float(values.min()), float(values.max())
            # A frame with a single value becomes black.
            brightness = ((values - low) / max(high - low, 1.0) * 255).astype(np.uint8)
        return 255 - brightness if header.PhotometricInterpretation == "MONOCHROME1" else brightness

    def _pixel_data(self) -> BinaryIO:
        """Opens the file at the value of Pixel Data."""
        file = self.path.open("rb")
        file.seek(self.pixel_data_offset)
        return file

    def _native_frame(self, number: int) -> bytes:
        """Reads a frame in native format; 1-bit frames may begin within a byte (PS3.5 8.2)."""
        bits = _frame_bits(self.header)
        first = (number - 1) * bits
        count = (first % 8 + bits + 7) // 8
        with self._pixel_data() as file:
            file.seek(first // 8, 1)
            data = file.read(count)
        if len(data) < count:
            raise EOFError("the file ends within the frame")
        if first % 8 == 0 and bits % 8 == 0:
            return data
        unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return np.packbits(unpacked[first % 8 :][:bits], bitorder="little").tobytes()

    @property
    def _needs_whole_dataset(self) -> bool:
        """Whether a frame cannot be read without the data before it, or not by pydicom."""
        return self.transfer_syntax.is_deflated or not self.transfer_syntax.is_little_endian

    def _decode(self, number: int, *, raw: bool) -> NDArray[np.generic]:
        """Decodes a frame: (row, column) or (row, column, sample); colours as RGB unless `raw`."""
        if not self._needs_whole_dataset:
            if self.transfer_syntax.is_encapsulated:
                with self._pixel_data() as file:
                    frame = get_frame(file, number - 1, number_of_frames=self.frame_count)
                check_frame(frame, self.header, str(self.transfer_syntax))
            return pixel_array(self.path, index=number - 1, raw=raw)
        frames = dcmread(self.path).pixel_array
        whole: NDArray[np.generic] = frames if self.frame_count == 1 else frames[number - 1]
        return whole


def _frame_bits(header: Dataset) -> int:
    samples = int(header.get("SamplesPerPixel") or 1)
    return int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated)


def parse_frame_numbers(text: str) -> tuple[int, ...]:
    """Parses frame numbers such as `1,2,5`; the request ends with 400 if they are invalid."""
    parts = text.split(",")
    if len(parts) > _MAX_FRAME_NUMBERS or not all(map(_is_frame_number, parts)):
        message = f"{text[:80]!r} is not a list of frame numbers from 1"
        raise HTTPException(HTTPStatus.BAD_REQUEST, message)
    return tuple(int(part) for part in parts)


def _is_frame_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MAX_DIGITS and int(text) > 0
