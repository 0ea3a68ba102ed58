"""What an acknowledgement means for the delivery."""

import pytest

from node.delivery.his.acknowledgement import check_acknowledgement
from node.domain.errors import Rejected, Transient
from tests.support.reports import REPORT

_MSH = "MSH|^~\\&|HIS|A|SEGNODE|B|20260504||ACK^R01^ACK|1|P|2.5.1"


def check(*segments: str, msh: str = _MSH, end: str = "\r") -> str:
    return check_acknowledgement(end.join((msh, *segments, "")), "control-1", "his:2575", REPORT)


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_accepting_code_is_returned(code: str) -> None:
    assert check(f"MSA|{code}|control-1") == code


@pytest.mark.parametrize("version", ["2.1", "2.3.1", "2.5.1", "2.8.2", "2.9", ""])
def test_the_receiver_may_speak_another_version(version: str) -> None:
    assert check("MSA|AA|control-1", msh=_MSH.replace("2.5.1", version)) == "AA"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_may_end_differently(end: str) -> None:
    assert check("MSA|AA|control-1", end=end) == "AA"


def test_the_receiver_may_separate_fields_differently() -> None:
    msh = _MSH.replace("|", "#").replace("^", "!")
    assert check("MSA#AA#control-1", msh=msh) == "AA"


@pytest.mark.parametrize("code", ["AE", "CE"])
def test_an_error_is_retried(code: str) -> None:
    with pytest.raises(Transient, match=rf"error \({code}\).*database is locked"):
        check(f"MSA|{code}|control-1|database is locked")


@pytest.mark.parametrize("code", ["AR", "CR"])
def test_a_rejection_is_final_and_gives_the_reason(code: str) -> None:
    with pytest.raises(Rejected, match=rf"rejected the message \({code}\): unsupported type"):
        check(f"MSA|{code}|control-1|unsupported type")


def test_the_reasons_of_err_are_told() -> None:
    error = "ERR||PID^1^3|204^Unknown key identifier^HL70357|E|||no such patient \\T\\ visit|Ask IT"
    with pytest.raises(Rejected) as caught:
        check("MSA|AR|control-1", error)
    message = str(caught.value)
    for part in ("Ask IT", "no such patient & visit", "Unknown key identifier"):
        assert part in message


def test_a_rejection_without_a_reason_says_so() -> None:
    with pytest.raises(Rejected, match="it gives no reason"):
        check("MSA|AR|control-1")


def test_the_words_of_the_receiver_lose_what_identifies_the_patient() -> None:
    text = "PAT-4711 müller-yamada^Tarō 山田 太郎 1961-02-03 19610203 acc-1 12345678 unknown"
    with pytest.raises(Rejected) as caught:
        check(f"MSA|AR|control-1|{text}")
    message = str(caught.value).split("(AR): ")[1]
    assert "unknown" in message
    for personal in ("4711", "yamada", "Tar", "山田", "太郎", "1961", "acc-1", "12345678"):
        assert personal.lower() not in message.lower()


def test_a_long_text_is_cut() -> None:
    with pytest.raises(Rejected) as caught:
        check(f"MSA|AR|control-1|{'no ' * 1000}")
    assert len(str(caught.value)) < 400


def test_the_acknowledgement_of_another_message_counts_as_none() -> None:
    with pytest.raises(Transient, match="acknowledged another message"):
        check("MSA|AA|control-2")


@pytest.mark.parametrize(
    "answer",
    ["", "hello", "MSH", "MSH|", "MSH|^~\\&", _MSH, f"{_MSH}\rMSA", f"{_MSH}\rMSA|XX|control-1",
     f"{_MSH}\rMSA|AA|control-1\rMSA|AR|control-1",
     "MSH|||||\rMSA|AA|control-1", "MSA|AA|control-1"],
)  # fmt: skip
def test_garbage_is_no_acknowledgement(answer: str) -> None:
    with pytest.raises(Transient, match=r"\S"):
        check_acknowledgement(answer, "control-1", "his:2575", REPORT)
