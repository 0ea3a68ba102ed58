"""The templates of a result's texts, as the site sets them.

`node/dicom/results/series_texts.py` renders them.
"""

import re
from dataclasses import dataclass, field
from typing import Self

NOT_FOR_DIAGNOSTIC_USE = "not for diagnostic use"
# What a result says that has a finding of the rule's mark_on.
MARKED = "Marked by the rules of the site: check the findings before any use"
DEFAULT_SERIES_DESCRIPTION = "{organs}, {model} {version} (S{source_number} {source_description})"
DEFAULT_CONTENT_DESCRIPTION = f"Automatic segmentation, {NOT_FOR_DIAGNOSTIC_USE}"
TEMPLATE_FIELDS = (
    "organs",
    "model",
    "version",
    "source_number",
    "source_description",
    "object",
    "part",
)
TEMPLATE_FIELD = re.compile(r"\{(\w*)\}")
MAX_LONG_STRING = 64  # characters of a Long String, PS3.5 6.2
MAX_INTEGER_STRING = 2**31 - 1  # the largest Integer String, PS3.5 6.2
_MAX_TEMPLATE = 200
_FOLLOWS_SOURCE = re.compile(r"(\d{1,10}) \+ \{source_number\}")
_FIXED = re.compile(r"\d{1,10}")


def check_description_template(template: str) -> str:
    """Returns the template of a Series Description unchanged.

    Raises:
        ValueError: it has an unknown field, a character that a Long String (PS3.5 6.2) may not
            have, or, without fields, more than 64 characters.
    """
    known = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
    names = TEMPLATE_FIELD.findall(template)
    for name in names:
        if name not in TEMPLATE_FIELDS:
            raise ValueError(f"there is no field {{{name}}}; the fields are {known}")
    if re.search(r"[{}]", TEMPLATE_FIELD.sub("", template)):
        raise ValueError(f"has a single brace; braces enclose a field, one of {known}")
    longest = _MAX_TEMPLATE if names else MAX_LONG_STRING
    if not template.strip() or len(template) > longest:
        raise ValueError(f"must have 1 to {longest} characters, and has {len(template)}")
    if "\\" in template or not template.isprintable():
        raise ValueError("may have no backslash, line break or other control character")
    return template


@dataclass(frozen=True)
class SeriesNumberRule:
    """The rule of a Series Number: a fixed number, or `first` plus that of the source series."""

    first: int = 900
    follows_source: bool = True

    @classmethod
    def parse(cls, value: int | str) -> Self:
        """Returns the rule of `900` (fixed) or of `900 + {source_number}`.

        Raises:
            ValueError: the value is neither, or the number exceeds 2147483647.
        """
        text = str(value).strip()
        following = _FOLLOWS_SOURCE.fullmatch(text)
        if following is None and not _FIXED.fullmatch(text):
            raise ValueError(
                "must be a whole number, such as 900, or a first number plus that of the source "
                'series, such as "900 + {source_number}"'
            )
        first = int(text if following is None else following[1])
        if first > MAX_INTEGER_STRING:
            raise ValueError(f"must be at most {MAX_INTEGER_STRING}")
        return cls(first, following is not None)

    def __str__(self) -> str:
        return f"{self.first} + {{source_number}}" if self.follows_source else str(self.first)


@dataclass(frozen=True)
class ResultTexts:
    """The templates of a result's texts.

    `series_description` may hold the fields `TEMPLATE_FIELDS`. `content_description` has at most
    64 characters. `models` lists the site's models: each numbers its series apart from the others.
    """

    series_description: str = DEFAULT_SERIES_DESCRIPTION
    series_number: SeriesNumberRule = field(default_factory=SeriesNumberRule)
    content_description: str = DEFAULT_CONTENT_DESCRIPTION
    models: tuple[str, ...] = ()
