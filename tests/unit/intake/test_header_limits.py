"""Headers that would take their readers hours are refused; those of large objects are not."""

import struct
import zlib

import pytest

from node.domain.errors import Rejected
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin
from node.intake import header_limits
from node.intake.dataset_elements import DEFLATED, EXPLICIT_BIG, IMPLICIT_LITTLE
from node.intake.identification import identify
from tests.support.factories import EXPLICIT, encoded

LIMIT_BYTES, LIMIT_ITEMS = 40_000, 200
ORIGIN = Origin(Channel.C_STORE, "CT1")
SYNTAXES = [EXPLICIT, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]
_SEQUENCE, _TEXT, _PIXELS = 0x00400555, 0x00404000, 0x7FE00010


@pytest.fixture(autouse=True)
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_limits, "MAX_HEADER_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(header_limits, "MAX_ITEMS", LIMIT_ITEMS)


def element(tag: int, vr: bytes, value: bytes, syntax: str, *, undefined: bool = False) -> bytes:
    order = ">" if syntax == EXPLICIT_BIG else "<"
    length = 0xFFFFFFFF if undefined else len(value)
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT_LITTLE or tag >> 16 == 0xFFFE:
        return head + struct.pack(f"{order}I", length) + value
    return head + vr + struct.pack(f"{order}HI", 0, length) + value


def items(count: int, syntax: str) -> bytes:
    return element(0xFFFEE000, b"", b"", syntax) * count


def check(added: bytes, syntax: str) -> None:
    """Identifies an instance with these elements at its end."""
    dataset = encoded(transfer_syntax_uid=EXPLICIT if syntax == DEFLATED else syntax) + added
    if syntax == DEFLATED:
        deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        dataset = deflating.compress(dataset) + deflating.flush()
    identify(dataset, Uid(syntax), ORIGIN)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_too_many_items_are_refused(syntax: str, undefined: bool) -> None:
    end = element(0xFFFEE0DD, b"", b"", syntax) if undefined else b""
    fitting = items(LIMIT_ITEMS - 1, syntax) + end  # the instance has one already
    check(element(_SEQUENCE, b"SQ", fitting, syntax, undefined=undefined), syntax)
    too_many = items(LIMIT_ITEMS, syntax) + end
    with pytest.raises(Rejected, match="over 200 items of sequences"):
        check(element(_SEQUENCE, b"SQ", too_many, syntax, undefined=undefined), syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_above_its_limit_is_refused(syntax: str) -> None:
    with pytest.raises(Rejected, match="a header of over"):
        check(element(_TEXT, b"UT", b" " * LIMIT_BYTES, syntax), syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixel_data_do_not_count(syntax: str) -> None:
    check(element(_PIXELS, b"OW", items(LIMIT_ITEMS * 2, syntax) * 5, syntax), syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_items_in_a_damaged_sequence_count(syntax: str) -> None:
    endless = element(_SEQUENCE, b"SQ", items(LIMIT_ITEMS + 1, syntax), syntax, undefined=True)
    with pytest.raises(Rejected, match="over 200 items of sequences"):
        check(endless, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixel_data_that_are_cut_off_do_not_count(syntax: str) -> None:
    check(element(_PIXELS, b"OW", b"\1" * LIMIT_BYTES * 2, syntax)[:-100], syntax)


def test_a_segmentation_of_a_hundred_organs_is_far_below_the_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    frames, items_of_frame, bytes_of_frame = 60_000, 7, 650
    assert frames * items_of_frame < header_limits.MAX_ITEMS
    assert frames * bytes_of_frame < header_limits.MAX_HEADER_BYTES
