"""The meaning of an acknowledgement: MSA and ERR (HL7 v2.5.1, 2.9.2, 2.15.5 and 2.15.8)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hl7apy.exceptions import HL7apyException
from hl7apy.parser import get_message_info, parse_segment

from node.delivery.his.receiver_text import without_personal_data
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.report import Report

_VERSION = "2.5.1"
# hl7apy takes half a millisecond for each component and each repetition, and a text of an error is
# shortened to 300 characters anyway. The node reads ERR-8 at most.
_MAX_ERRORS = 3
_MAX_FIELDS = 9
_MAX_FIELD_LENGTH = 200


@dataclass(frozen=True)
class Acknowledgement:
    """The code (HL7 table 0008), the control ID of the acknowledged message, and the reason."""

    code: str
    control_id: str
    text: str


def check_acknowledgement(answer: str, control_id: str, receiver: str, report: Report) -> str:
    """Returns the code with which `receiver` accepted the message; the code is AA or CA.

    Raises:
        Transient: the receiver reports an error, or the answer does not acknowledge the message.
        Rejected: the receiver rejects the message for good.
    """
    acknowledgement = _parse(answer)
    if acknowledgement is None:
        raise Transient(f"{receiver} answered with something other than an acknowledgement")
    if acknowledgement.control_id != control_id:
        raise Transient(
            f"{receiver} acknowledged another message: check that it repeats the control ID "
            "(MSH-10) in MSA-2"
        )
    reason = without_personal_data(acknowledgement.text, report) or "it gives no reason"
    match acknowledgement.code:
        case "AA" | "CA":
            return acknowledgement.code
        case "AE" | "CE":
            raise Transient(
                f"{receiver} reports an error ({acknowledgement.code}) and may take the message "
                f"later: {reason}"
            )
        case "AR" | "CR":
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"{receiver} rejected the message ({acknowledgement.code}): {reason}",
            )
        case _:
            raise Transient(f"{receiver} acknowledged with a code that HL7 does not define")


def _parse(answer: str) -> Acknowledgement | None:
    """Returns the content of MSA and ERR; None if the answer is not an acknowledgement."""
    lines = answer.replace("\r\n", "\r").replace("\n", "\r").strip("\r").split("\r")
    try:
        encoding_chars, _, _ = get_message_info(lines[0])
        segments = {
            name: [
                parse_segment(line, version=_VERSION, encoding_chars=encoding_chars)
                for line in _shortened(lines[1:], name, encoding_chars["FIELD"])
            ]
            for name in ("MSA", "ERR")
        }
        (msa,) = segments["MSA"]
        texts = (_unescaped(text, encoding_chars) for text in _reasons(msa, segments["ERR"]))
        reason = "; ".join(dict.fromkeys(filter(None, texts)))
        return Acknowledgement(_er7(msa.msa_1), _er7(msa.msa_2), reason)
    except (HL7apyException, LookupError, ValueError, AttributeError):
        return None


def _shortened(lines: list[str], name: str, separator: str) -> list[str]:
    """Returns the first segments of that name, without what the node does not read of them."""
    named = [line for line in lines if line.startswith(name)]
    return [
        separator.join(field[:_MAX_FIELD_LENGTH] for field in line.split(separator)[:_MAX_FIELDS])
        for line in named[:_MAX_ERRORS]
    ]


def _reasons(msa: Any, errors: list[Any]) -> Iterator[str]:
    """Yields the texts for people: MSA-3, and of each ERR the user message, diagnostic
    information, error code and (before HL7 v2.5) the code in ERR-1."""
    yield _er7(msa.msa_3)
    for error in errors:
        for field in (error.err_8, error.err_7, error.err_3.err_3_2, error.err_1):
            yield _er7(field)


def _er7(element: Any) -> str:
    return str(element.to_er7()).strip()


def _unescaped(text: str, encoding_chars: dict[str, str]) -> str:
    """Returns the text without escape sequences (HL7 v2.5.1, 2.7.1); components become words."""
    escape = encoding_chars["ESCAPE"]
    text = text.replace(encoding_chars["COMPONENT"], " ")
    for letter, name in (("F", "FIELD"), ("S", "COMPONENT"), ("T", "SUBCOMPONENT"),
                         ("R", "REPETITION"), ("E", "ESCAPE")):  # fmt: skip
        text = text.replace(f"{escape}{letter}{escape}", encoding_chars[name])
    return text.replace(f"{escape}.br{escape}", " ").strip()
