"""UIDs and AE titles are validated at construction; the same parts give the same UID."""

import pytest

from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import AeTitle, Uid, mint_uid


@pytest.mark.parametrize("text", ["1.2.840.10008.1.1", "0", "2.25.0", "1" * 64])
def test_a_uid_of_digits_and_dots_is_accepted(text: str) -> None:
    assert Uid(text) == text
    assert Uid(text).is_strict


@pytest.mark.parametrize("padding", ["\0", " ", "\0\0"])
def test_padding_is_removed_from_a_uid(padding: str) -> None:
    assert Uid("1.2.3" + padding) == "1.2.3"


def test_leading_zeros_are_accepted_but_not_strict() -> None:
    assert not Uid("1.02.3").is_strict


@pytest.mark.parametrize(
    "text",
    ["", " ", ".", "1.", ".1", "1..2", "1.a", "../1.2", "1/2", "1.2\n", "1\0.2", "٣.1", "1" * 65],
)
def test_an_invalid_uid_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="not a valid DICOM UID") as refused:
        Uid(text)
    assert refused.value.reason is RejectionReason.INVALID_INSTANCE


def test_the_message_about_an_invalid_uid_is_short() -> None:
    with pytest.raises(Rejected) as refused:
        Uid("x" * 10_000)
    assert len(str(refused.value)) < 200


def test_spaces_around_an_ae_title_are_removed() -> None:
    assert AeTitle(" SEGNODE ") == "SEGNODE"
    assert AeTitle("A" * 16) == "A" * 16


@pytest.mark.parametrize("text", ["", "   ", "A" * 17, "A\\B", "A\tB", "ÄE"])
def test_an_invalid_ae_title_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        AeTitle(text)


def test_the_same_parts_always_give_the_same_uid() -> None:
    uid = mint_uid("series", "abc")
    assert uid == mint_uid("series", "abc")
    assert uid.startswith("2.25.")
    assert uid.is_strict
    assert len({uid, mint_uid("instance", "abc"), mint_uid("seriesabc"), mint_uid("abc")}) == 4
