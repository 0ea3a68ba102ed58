"""Instances in another transfer syntax than they are stored in (PS3.18 8.7.3.5)."""

from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from node.dicom.compressed_frames import check_frames
from node.dicom.ct.headers import check_nesting
from node.web.dicomweb.archive import ArchivedInstance, file_errors_as_transient, read_attributes
from node.web.dicomweb.bulk_data import WORD_BYTES, paths_of, swapped
from node.web.dicomweb.content_negotiation import not_acceptable

UNCOMPRESSED_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# Lossless ones only: a lossy copy would be another instance (PS3.3 C.7.6.1.1.5).
COMPRESSED_SYNTAXES = (JPEGLSLossless, JPEG2000Lossless, RLELossless)
_PIXEL_KEYWORDS = ("Rows", "BitsAllocated", "SamplesPerPixel")
_PIXEL_TAGS = frozenset(tag for tag in map(tag_for_keyword, _PIXEL_KEYWORDS) if tag is not None)
_COMPRESSIBLE_BITS = (8, 16)


def stored_syntax(instance: ArchivedInstance) -> str:
    """Returns the transfer syntax of the instance's file.

    Raises:
        Transient: the file is missing or damaged.
    """
    with instance.local_copy() as file, file_errors_as_transient(file):
        syntax = read_file_meta_info(file).TransferSyntaxUID
        if not syntax.is_valid:
            raise ValueError("the transfer syntax is not a UID")
        return str(syntax)


def is_available(instance: ArchivedInstance, stored: str, wanted: str) -> bool:
    """Whether the instance, stored in a transfer syntax, can be sent in the wanted one.

    Images of 8 or 16 bits can be compressed.
    """
    if wanted == stored or wanted in UNCOMPRESSED_SYNTAXES:
        return True
    if wanted not in COMPRESSED_SYNTAXES:
        return False
    header = read_attributes(instance, _PIXEL_TAGS)
    return bool(header.get("Rows")) and header.get("BitsAllocated") in _COMPRESSIBLE_BITS


def transcoded(instance: ArchivedInstance, syntax: UID) -> bytes:
    """Returns the Part 10 file of the instance in that transfer syntax, with equal pixels and UIDs.

    The request ends with 406 if compression would change a pixel.

    Raises:
        Transient: the file is missing or damaged.
    """
    with instance.local_copy() as file, file_errors_as_transient(file):
        dataset = dcmread(file)
        check_nesting(dataset)
        stored = dataset.file_meta.TransferSyntaxUID
        if stored.is_encapsulated:
            check_frames(dataset)
            dataset.decompress(generate_instance_uid=False)
        elif not stored.is_little_endian:
            _swap_words(dataset)
        if not syntax.is_encapsulated:
            return _part10(dataset, syntax)
        native = dcmread(BytesIO(_part10(dataset, ExplicitVRLittleEndian)))
        _require_lossless(native)
        native.compress(syntax, generate_instance_uid=False)
        return _part10(native, syntax)


def _require_lossless(native: Dataset) -> None:
    """Ends the request with 406 if pixels have bits beyond Bits Stored, which encoders drop.

    Some scanners write padding values that need all Bits Allocated (PS3.5 8.1.1 forbids it).
    """
    stored, allocated = int(native.BitsStored), int(native.BitsAllocated)
    is_signed = native.PixelRepresentation == 1
    kind = "i" if is_signed else "u"
    whole = len(native.PixelData) // (allocated // 8) * (allocated // 8)
    values = np.frombuffer(native.PixelData[:whole], f"<{kind}{allocated // 8}")
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if is_signed else (0, (1 << stored) - 1)
    if native.HighBit != stored - 1 or values.min() < low or values.max() > high:
        raise not_acceptable("uncompressed only, because compression would change pixels")


def _part10(dataset: Dataset, syntax: UID) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    implicit = syntax == ImplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=implicit, little_endian=True)
    return buffer.getvalue()


def _swap_words(dataset: Dataset) -> None:
    """Turns big-endian words into little-endian ones, which pydicom leaves as they are."""
    for element, _path in paths_of(dataset):
        size = WORD_BYTES.get(element.VR, 1)
        if size > 1 and isinstance(element.value, bytes):
            element.value = swapped(element.value, size)
