"""The line by which an exported text names its revision, so that a later change names its base."""

import re

_LINE = re.compile(r"^# segnode, revision (?P<number>[1-9][0-9]{0,8})\n")


def with_revision(text: str, number: int) -> str:
    """Returns the text of a revision with a first line that names it."""
    return f"# segnode, revision {number}\n{text}"


def divided(text: str) -> tuple[str, int | None]:
    """Returns a text without that line, and the number in it; None if it has no such line.

    An empty line replaces it, so that all others keep their numbers.
    """
    found = _LINE.match(text)
    if found is None:
        return text, None
    return "\n" + text[found.end() :], int(found["number"])
