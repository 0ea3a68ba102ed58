"""The file meta information of a DICOM file is read whatever its length."""

import struct
from pathlib import Path

import pytest

from node.domain.errors import Rejected
from node.domain.instance import Channel, Origin
from node.intake.part10 import (
    _USUAL_META_BYTES,
    file_meta_of,
    part10_bytes,
    part10_header,
    received_from_file,
    received_from_part10,
)
from tests.support.factories import encoded, received

_ORIGIN = Origin(Channel.FOLDER, "test")
_IMAGE = received(dataset=encoded())
_HEADER_BYTES = len(part10_header(_IMAGE))


def _with_meta_of(size: int) -> bytes:
    """Returns a file whose preamble and file meta information have so many bytes.

    Two private elements fill it (PS3.10 7.1), the first of which may end where the other begins.
    """
    rest = size - _HEADER_BYTES - 2 * 12
    private = b"".join(
        struct.pack("<HH2sHI", 0x0002, element, b"OB", 0, length) + bytes(length)
        for element, length in ((0x0100, rest), (0x0102, 0))
    )
    return part10_header(_IMAGE) + private + _IMAGE.dataset


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "file.dcm"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [-1, 0, 1, 2, 11, 12, 13, 14, 4096], ids=lambda n: f"{n:+}")
def test_a_file_is_read_like_its_bytes(tmp_path: Path, size: int) -> None:
    # The last element begins 12 bytes before the end of the file meta information.
    content = _with_meta_of(_USUAL_META_BYTES + size)
    instance = received_from_file(_file(tmp_path, content), _ORIGIN)
    assert instance == received_from_part10(content, _ORIGIN)
    assert instance.dataset == _IMAGE.dataset
    meta = file_meta_of(_file(tmp_path, content))
    assert meta.sop_class_uid == instance.sop_class_uid
    assert meta.transfer_syntax_uid == instance.transfer_syntax_uid


def test_a_file_that_is_shorter_than_the_usual_meta_information_is_read(tmp_path: Path) -> None:
    content = part10_bytes(_IMAGE)
    assert received_from_file(_file(tmp_path, content), _ORIGIN).dataset == _IMAGE.dataset


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no DICOM file",
        bytes(5000),
        part10_bytes(_IMAGE)[: _HEADER_BYTES - 1],
        bytes(128) + b"DICM" + _IMAGE.dataset,
        _with_meta_of(2000)[:1500],
    ],
    ids=["empty", "text", "zeros", "cut", "no meta", "long and cut"],
)
def test_what_states_no_syntax_is_refused(tmp_path: Path, content: bytes) -> None:
    file = _file(tmp_path, content)
    for read in (file_meta_of, lambda path: received_from_file(path, _ORIGIN)):
        with pytest.raises(Rejected):
            read(file)
