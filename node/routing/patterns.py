"""Regular expressions of the configuration, searched in linear time by RE2.

Their syntax and meaning are those of Python's `re`. A pattern such as `(a+)+$` makes a search by
`re` itself exponential, so that one text of a sender stops the worker. RE2 alone gives another
meaning to `\\d`, `\\w`, `\\s`, `\\b` and `$`, and to `(?i)` outside ASCII. The translation keeps
that of Python.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import re2

from node.routing.pattern_translation import (
    InvalidPattern,
    UnsupportedPattern,
    encoded_text,
    translate,
)

__all__ = ["InvalidPattern", "Pattern", "UnsupportedPattern", "compile_pattern"]


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern; two with the same text are equal."""

    text: str
    _finds: Callable[[str], bool] = field(repr=False, compare=False)

    def is_in(self, text: str) -> bool:
        """Whether the pattern matches somewhere in the text; time grows linearly with both."""
        return self._finds(text)


def compile_pattern(text: str) -> Pattern:
    """Compiles a pattern.

    Raises:
        InvalidPattern: it is no regular expression.
        UnsupportedPattern: no linear-time search for it exists; the message says what to write.
    """
    translation = translate(text)
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    try:
        expression = re2.compile(translation.expression, options)
    except re2.error as error:
        raise UnsupportedPattern(
            "repeats too much or nests too deeply: nothing may repeat more than 1000 times, nor by "
            "a repetition inside a repetition"
        ) from error

    def finds(searched: str) -> bool:
        return expression.search(encoded_text(searched, translation.ascii_only)) is not None

    return Pattern(text, finds)
