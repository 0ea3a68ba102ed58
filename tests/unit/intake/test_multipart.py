"""Streaming reading of multipart messages."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.errors import Transient
from node.intake import multipart
from node.intake.multipart import PartTooLarge, iter_parts, parse_boundary

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
def test_every_part_is_complete_however_the_message_is_chunked(
    contents: list[bytes], size: int
) -> None:
    assert list(iter_parts(chunked(message(*contents), size), BOUNDARY)) == contents


def test_preamble_and_epilogue_are_ignored() -> None:
    whole = b"a preamble\r\n" + message(b"one", end=b"--\r\nan epilogue")

    assert list(iter_parts([whole], BOUNDARY)) == [b"one"]


def test_a_part_may_have_no_headers() -> None:
    assert list(iter_parts([b"--a-boundary\r\n\r\nbare\r\n--a-boundary--"], BOUNDARY)) == [b"bare"]


def test_a_truncated_message_raises_transient() -> None:
    with pytest.raises(Transient, match="cut off"):
        list(iter_parts([message(b"one", b"two")[:-10]], BOUNDARY))


def test_a_part_over_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MAX_PART_BYTES", 1000)
    small = message(*[bytes(400)] * 10)
    assert len(list(iter_parts(chunked(small, 64), BOUNDARY))) == 10
    with pytest.raises(PartTooLarge):
        list(iter_parts(chunked(message(bytes(2000)), 64), BOUNDARY))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="x y"', "x y"),
        ("multipart/related; boundary=abc; type=application/dicom", "abc"),
        ("application/dicom", ""),
        ("multipart/related; boundary=\u00fcber", ""),  # RFC 2046: in ASCII
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: str) -> None:
    assert parse_boundary(content_type) == boundary
