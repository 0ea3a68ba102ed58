"""Breaks text into lines of a given width."""

from collections.abc import Callable, Iterator

Measure = Callable[[str], float]


def wrap(text: str, width: float, measure: Measure) -> list[str]:
    """Returns the lines of the text; `measure` returns the width of a text in the unit of `width`.

    A line breaks at a space, or within a word that is wider than a line, such as Japanese text.
    """
    lines = [""]
    for word in text.split(" "):
        for part in _parts(word, width, measure):
            longer = f"{lines[-1]} {part}" if lines[-1] else part
            if measure(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
    return [line for line in lines if line]


def _parts(word: str, width: float, measure: Measure) -> Iterator[str]:
    """Yields the word in parts of at most `width`; each part has at least one character."""
    part = ""
    for character in word:
        if part and measure(part + character) > width:
            yield part
            part = ""
        part += character
    yield part
