"""Multipart messages read as they arrive."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.errors import Transient
from node.intake import multipart
from node.intake.multipart import PartTooLarge, parse_boundary, parts

BOUNDARY = "a-boundary"


def message(*contents: bytes, end: bytes = b"--") -> bytes:
    whole = b""
    for content in contents:
        whole += b"--a-boundary\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
    return whole + b"--a-boundary" + end


def chunked(whole: bytes, size: int) -> Iterator[bytes]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


@given(
    contents=st.lists(st.binary(max_size=60).filter(lambda b: b"a-boundary" not in b), max_size=5),
    size=st.integers(1, 70),
)
def test_every_part_comes_out_whole_however_it_arrives(contents: list[bytes], size: int) -> None:
    assert list(parts(chunked(message(*contents), size), BOUNDARY)) == contents


def test_what_stands_around_the_parts_is_left_out() -> None:
    whole = b"a preamble\r\n" + message(b"one", end=b"--\r\nan epilogue")

    assert list(parts([whole], BOUNDARY)) == [b"one"]


def test_a_part_may_have_no_headers() -> None:
    assert list(parts([b"--a-boundary\r\n\r\nbare\r\n--a-boundary--"], BOUNDARY)) == [b"bare"]


def test_a_message_that_is_cut_off_is_told() -> None:
    with pytest.raises(Transient, match="cut off"):
        list(parts([message(b"one", b"two")[:-10]], BOUNDARY))


def test_a_part_that_memory_should_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MAX_PART_BYTES", 1000)
    small = message(*[bytes(400)] * 10)
    assert len(list(parts(chunked(small, 64), BOUNDARY))) == 10
    with pytest.raises(PartTooLarge):
        list(parts(chunked(message(bytes(2000)), 64), BOUNDARY))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="x y"', "x y"),
        ("multipart/related; boundary=abc; type=application/dicom", "abc"),
        ("application/dicom", ""),
        ("multipart/related; boundary=\u00fcber", ""),  # RFC 2046: in ASCII
    ],
)
def test_the_boundary_is_found_in_the_content_type(content_type: str, boundary: str) -> None:
    assert parse_boundary(content_type) == boundary
