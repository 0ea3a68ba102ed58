"""The words of a receiver in an error message, without patient data."""

import re

from node.domain.report import Report

_MAX_LENGTH = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Digits in a row that are long enough to identify a person, a visit or an order.
_NUMBER = re.compile(r"\d{5,}")
_PLACEHOLDER = "[removed]"


def without_personal_data(text: str, report: Report) -> str:
    """Returns the receiver's text on one line, at most 300 characters long.

    Texts of the report that identify the patient are replaced, and so are long numbers, because
    receivers quote what they cannot accept. A name of one letter is not replaced.
    """
    line = _CONTROL.sub(" ", text).strip()
    for own in sorted(report.personal_data(), key=len, reverse=True):
        if len(own) > 1 or not own.isascii():
            line = re.sub(re.escape(own), _PLACEHOLDER, line, flags=re.IGNORECASE)
    line = _NUMBER.sub(_PLACEHOLDER, line)
    return line if len(line) <= _MAX_LENGTH else f"{line[:_MAX_LENGTH]}..."
