"""The words of a receiver in an error message, without patient data."""

import re
from urllib.parse import quote

from node.domain.report import Report

_MAX_LENGTH = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Digits in a row that are long enough to identify a person, a visit or an order.
_NUMBER = re.compile(r"\d{5,}")
_PLACEHOLDER = "[removed]"
_MIN_LENGTH = 2
# A family name such as "An" occurs inside many words.
_MAX_WORD_LENGTH = 3


def without_personal_data(text: str, report: Report) -> str:
    """Returns the receiver's text on one line, at most 300 characters long.

    Texts of the report that identify the patient are replaced, and so are long numbers, because
    receivers quote what they cannot accept. Short texts are replaced as whole words only, and a
    single letter is not replaced.
    """
    line = _CONTROL.sub(" ", text).strip()
    texts = {form for own in report.personal_data() for form in (own, quote(own, safe=""))}
    for own in sorted(texts, key=lambda one: (-len(one), one)):
        pattern = re.escape(own)
        if own.isascii():
            if len(own) < _MIN_LENGTH:
                continue
            if len(own) <= _MAX_WORD_LENGTH:
                pattern = rf"\b{pattern}(?!\w)"
        line = re.sub(pattern, _PLACEHOLDER, line, flags=re.IGNORECASE)
    line = _NUMBER.sub(_PLACEHOLDER, line)
    return line if len(line) <= _MAX_LENGTH else f"{line[:_MAX_LENGTH]}..."
