"""Values that metadata refers to instead of containing them (PS3.18 10.4.1.1.5)."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import numpy as np
from fastapi import HTTPException
from pydicom import DataElement, Dataset, dcmread

from node.dicom.ct.headers import PARSE_ERRORS, check_nesting
from node.web.dicomweb import frames
from node.web.dicomweb.archive import file_errors_as_transient

# Shorter values are within the metadata.
MIN_BYTES = 8192
PIXEL_DATA = "7FE00010"
# Tag, then item number and tag for each sequence that it is in, such as 00420011 or 30060039/2/...
_PATH = re.compile(r"[0-9A-F]{8}(/[1-9][0-9]{0,8}/[0-9A-F]{8}){0,16}")
# Bytes of one number (PS3.5 6.2); other value representations are sequences of bytes.
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def paths_of(dataset: Dataset, before: str = "") -> Iterator[tuple[DataElement, str]]:
    """Yields every readable element of a data set and of its sequences with its path."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except PARSE_ERRORS:
            continue
        path = f"{before}{int(tag):08X}"
        yield element, path
        if element.VR == "SQ":
            for number, item in enumerate(element.value, start=1):
                yield from paths_of(item, f"{path}/{number}/")


def read_value(file: Path, path: str) -> Iterator[bytes]:
    """Yields the value at that path of a file, little endian; pixels decoded, frame after frame.

    The request ends with 404 if there is no such value.

    Raises:
        Transient: the file is missing or damaged.
    """
    if not _PATH.fullmatch(path):
        raise _not_found(path)
    if path == PIXEL_DATA:
        yield from frames.ImageFile.open(file).native_pixel_data()
        return
    with file_errors_as_transient(file):
        dataset = dcmread(file, stop_before_pixels=True)
        check_nesting(dataset)
        value = _bytes_at(dataset, path, big_endian=not dataset.original_encoding[1])
    if value is None:
        raise _not_found(path)
    yield value


def _bytes_at(dataset: Dataset, path: str, *, big_endian: bool) -> bytes | None:
    *sequences, tag = path.split("/")
    for sequence, number in zip(sequences[::2], sequences[1::2], strict=True):
        element = dataset.get(int(sequence, 16))
        if element is None or element.VR != "SQ" or int(number) > len(element.value):
            return None
        dataset = element.value[int(number) - 1]
    element = dataset.get(int(tag, 16))
    if element is None or not isinstance(element.value, bytes):
        return None
    size = WORD_BYTES.get(element.VR, 1)
    if not big_endian or size == 1:
        return element.value
    return swapped(element.value, size)


def swapped(value: bytes, size: int) -> bytes:
    """Returns big-endian words of `size` bytes as little-endian ones, or the other way round."""
    return np.frombuffer(value, f">u{size}").astype(f"<u{size}").tobytes()


def _not_found(path: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"the instance has no bulk data at {path[:80]!r}")
