"""Conversion of stored pixel values to Hounsfield units, into one array for the series."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from node.dicom.compressed_frames import check_frames
from node.dicom.ct.frames import Slice
from node.dicom.ct.headers import disk_error
from node.dicom.ct.native_pixels import native_pixels
from node.dicom.uid_names import uid_name
from node.domain.errors import Rejected, RejectionReason

# Air, and the lowest value of the Hounsfield scale in use (12 bits from −1024). Pixels outside the
# reconstructed circle (PixelPaddingValue, or values below the scale, such as −2000 or −3024) become
# air: they are not tissue and must not shift a mean or an intensity window.
AIR_HU = -1024
# The largest 16-bit value; metal on an extended scale ends at 30710 HU.
_MAX_HU = 32767
_MIN_INT16 = -32768

# Of one image, and of a series: four times the pixels of the finest scanners (2048 × 2048), and as
# many voxels as a thousand of their images have.
_MAX_PIXELS = 1 << 24
_MAX_VOXELS = 1 << 32

# Exceptions of pydicom and its decoders for pixel data that are damaged or of an unknown type.
_DECODE_ERRORS = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

# The end marker of a stream (ISO 10918-1 and 14495-1); a padding byte may follow (PS3.5 A.4).
_EOI = b"\xff\xd9"
_SYNTAXES_WITH_EOI = frozenset({*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes})

HounsfieldArray = NDArray[np.int16] | NDArray[np.float32]


def read_hounsfield(slices: tuple[Slice, ...]) -> HounsfieldArray:
    """Returns the pixels of the slices in HU, (slice, row, column), in the given order.

    The type is int16 if every slope and intercept is a whole number, else float32.

    Raises:
        Rejected: pixel data are missing, damaged, cut off, too many, or compressed in an unknown
            way.
    """
    _check_size(slices)
    whole = all(s.rescale_slope.is_integer() and s.rescale_intercept.is_integer() for s in slices)
    volume = np.empty(
        (len(slices), *slices[0].size), dtype=np.int16 if whole else np.float32
    )  # (slice, row, column)
    buffer = np.empty(slices[0].size, dtype=np.int16)  # for one slice at a time
    if slices[0].frame_number is None:
        for k, slice_ in enumerate(slices):
            _convert(slice_, next(_stored(slice_.header, slice_.name, [0], buffer)), volume[k])
        return volume
    by_frame = sorted((s.frame_number or 0, k) for k, s in enumerate(slices))
    frames = [number - 1 for number, _k in by_frame]
    all_stored = _stored(slices[0].header, "the multi-frame CT", frames, buffer)
    for (_number, k), stored in zip(by_frame, all_stored, strict=True):
        _convert(slices[k], stored, volume[k])
    return volume


def _check_size(slices: tuple[Slice, ...]) -> None:
    """Checks the size of the volume before memory is allocated for it.

    Raises:
        Rejected: it is larger than that of any CT.
    """
    rows, columns = slices[0].size
    if rows * columns > _MAX_PIXELS or len(slices) * rows * columns > _MAX_VOXELS:
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"The series states {len(slices)} images of {rows} × {columns} pixels: more than any "
            "CT has. Check the scanner or the system that wrote them, and send the series again.",
        )


def _stored(
    header: Dataset, name: str, frames: Sequence[int], buffer: NDArray[np.int16]
) -> Iterator[NDArray[np.integer]]:
    """Yields the stored values of these frames, from 0, (row, column).

    They are valid until the next frame, because `buffer` (row, column) may hold them.
    """
    native = native_pixels(header)
    if native is None:
        yield from _decoded(header, name, frames)
        return
    for index in frames:
        stored = native.frame(index, buffer)
        # The decoder says what is wrong with a frame that the file does not hold.
        yield next(_decoded(header, name, [index])) if stored is None else stored


def _decoded(header: Dataset, name: str, frames: Sequence[int]) -> Iterator[NDArray[np.integer]]:
    """Yields the stored values of these frames, from 0, (row, column), as pydicom decodes them."""
    try:
        _check_complete(header)
        with raise_panics_as_errors():
            yield from iter_pixels(header, raw=True, indices=frames)
    except NotImplementedError as error:
        syntax = uid_name(header.file_meta.TransferSyntaxUID)
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"The pixels of {name} are stored in a way that cannot be read here ({syntax}). "
            "Send the series uncompressed.",
        ) from error
    except _DECODE_ERRORS as error:
        if transient := disk_error(error):
            raise transient from error
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"The pixels of {name} cannot be read: the image is damaged or did not arrive whole. "
            "Delete the series from the node, then send it again: the node keeps the first copy of "
            "each image.",
        ) from error


@contextmanager
def raise_panics_as_errors() -> Iterator[None]:
    """Turns a panic of a decoder into an error: one decoder is written in Rust.

    Raises (within the block):
        RuntimeError: the decoder panicked on damaged data. Its own PanicException is not an
            `Exception`, so `except Exception` does not catch it.
    """
    try:
        yield
    except BaseException as error:
        # The decoder creates the class itself; it cannot be imported.
        if type(error).__name__ == "PanicException":
            raise RuntimeError("the decoder panicked") from error
        raise


def _check_complete(header: Dataset) -> None:
    """Checks that pixel data are present and that JPEG streams are complete.

    A JPEG-LS decoder fills the rest of a truncated stream with invented pixels, without an error.

    Raises:
        EOFError: pixel data are missing, or a JPEG stream has no end marker.
        ValueError: the stored bits are not the lowest bits of a pixel, or a compressed frame has
            another size than the header.
    """
    if not header.get("PixelData"):
        raise EOFError("there are no pixel data")
    # Left-aligned bits, as in ACR-NEMA files, would be read 16 times too large.
    if header.get("HighBit") != int(header.BitsStored) - 1:
        raise ValueError("the bits of a pixel are not where DICOM has them")
    check_frames(header)
    if header.file_meta.TransferSyntaxUID not in _SYNTAXES_WITH_EOI:
        return
    frames = int(header.get("NumberOfFrames") or 1)
    for frame in generate_frames(header.PixelData, number_of_frames=frames):
        if not frame.rstrip(b"\0").endswith(_EOI):
            raise EOFError("a JPEG stream has no end")


def _convert(slice_: Slice, stored: NDArray[np.integer], out: HounsfieldArray) -> None:
    """Writes one slice in HU into `out`, both (row, column)."""
    padding = _padding(slice_.header, stored)
    if out.dtype == np.int16:
        _convert_whole(stored, int(slice_.rescale_slope), int(slice_.rescale_intercept), out)
    else:
        np.multiply(stored, slice_.rescale_slope, out=out, casting="unsafe")
        out += np.float32(slice_.rescale_intercept)
        np.maximum(out, AIR_HU, out=out)
    if padding is not None:
        np.copyto(out, AIR_HU, where=padding)


def _convert_whole(
    stored: NDArray[np.integer], slope: int, intercept: int, out: HounsfieldArray
) -> None:
    """Writes one slice with a whole slope and intercept in HU into `out`, both (row, column)."""
    ends = [int(stored.min()), int(stored.max())]
    scaled = [slope * end for end in ends]
    shifted = [value + intercept for value in scaled]
    bounds = (*ends, slope, *scaled, intercept, *shifted)
    is_narrow = stored.dtype.itemsize == 2 and stored.dtype.isnative
    if is_narrow and all(_MIN_INT16 <= bound <= _MAX_HU for bound in bounds):
        np.multiply(stored.view(np.int16), np.int16(slope), out=out)
        out += np.int16(intercept)
        if min(shifted) < AIR_HU:
            np.maximum(out, AIR_HU, out=out)
        return
    # 32 bits hold any 16-bit value times any slope of a real scanner.
    wide = stored.astype(np.int32)
    wide *= slope
    wide += intercept
    np.clip(wide, AIR_HU, _MAX_HU, out=out, casting="unsafe")


def _padding(header: Dataset, stored: NDArray[np.integer]) -> NDArray[np.bool_] | None:
    """Returns the mask of padding pixels, (row, column); None if the slice defines no padding.

    Padding is from PixelPaddingValue to PixelPaddingRangeLimit, both included (PS3.3 C.7.5.1.1.2).
    """
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    # A value that is not a number defines no padding.
    if not isinstance(value, int):
        return None
    ends = [_as_stored(v, stored) for v in (value, limit if isinstance(limit, int) else value)]
    mask: NDArray[np.bool_] = (stored >= min(ends)) & (stored <= max(ends))
    return mask


def _as_stored(value: int, stored: NDArray[np.integer]) -> int:
    """Reinterprets the value's bits in the type of the pixels: 63536 becomes −2000 if signed."""
    bits = 8 * stored.dtype.itemsize
    wrapped = int(value) % (1 << bits)
    if stored.dtype.kind == "i" and wrapped >= 1 << (bits - 1):
        wrapped -= 1 << bits
    return wrapped
