"""Breaks text into lines of a given width."""

from collections.abc import Iterator

from node.dicom.results.pages.fonts import text_width


def wrap(text: str, size: float, width: float) -> list[str]:
    """Returns the lines of the text, at most `width` wide at em size `size` (same unit).

    A line breaks at a space, or within a word that is wider than a line, such as Japanese text.
    """
    lines = [""]
    for word in text.split(" "):
        for part in _parts(word, size, width):
            longer = f"{lines[-1]} {part}" if lines[-1] else part
            if text_width(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
    return [line for line in lines if line]


def _parts(word: str, size: float, width: float) -> Iterator[str]:
    """Yields the word in parts of at most `width`; each part has at least one character."""
    part = ""
    for character in word:
        if part and text_width(part + character, size) > width:
            yield part
            part = ""
        part += character
    yield part
