"""Layout of a page on A4: where each text, box and picture goes, in mm from the top left.

A picture and a PDF are drawn from the same layout with the same font.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from PIL import Image

from node.dicom.results.pages.fonts import printable, text_width
from node.dicom.results.pages.page import Page, Rgb, Section, Table
from node.dicom.results.pages.text_lines import wrap

WIDTH_MM, HEIGHT_MM = 210.0, 297.0
_MARGIN_MM = 12.0
_RIGHT_MM = WIDTH_MM - _MARGIN_MM
_INNER_MM = WIDTH_MM - 2 * _MARGIN_MM
_FOOTER_MM = HEIGHT_MM - 10.0  # baseline
_BOTTOM_MM = HEIGHT_MM - 18.0  # where the content ends
_TITLE_MM, _HEADING_MM, _TEXT_MM, _SMALL_MM = 7.0, 4.6, 3.8, 3.4  # em sizes
_LINE = 1.45  # baseline to baseline, in em sizes
_SWATCH_MM = 4.0
_NAME_MM = 32.0  # column of names in the identification
# From the normal size down to one that is still legible; the first at which all fits is used.
_SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


class Ink(Enum):
    """Colours by their meaning; a picture is light on dark, a PDF dark on light."""

    TEXT = auto()
    MUTED = auto()
    WARNING = auto()
    RULE = auto()


@dataclass(frozen=True)
class PlacedText:
    """A line of text from its left end on its baseline; `size_mm` is the em size."""

    left_mm: float
    baseline_mm: float
    size_mm: float
    text: str
    ink: Ink


@dataclass(frozen=True)
class PlacedBox:
    """A filled rectangle."""

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float
    fill: Ink | Rgb


@dataclass(frozen=True)
class PlacedPicture:
    """A picture, scaled to the rectangle."""

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float
    image: Image.Image = field(repr=False)


Element = PlacedText | PlacedBox | PlacedPicture


def lay_out(page: Page) -> tuple[Element, ...]:
    """Returns the elements of the page, in the order in which they are drawn.

    The content shrinks until it fits. What does not fit at half the size is left out; the end of
    the page then says so.
    """
    for scale in _SCALES:
        elements = tuple(_Column(scale).page(page))
        if _end_mm(elements) <= _BOTTOM_MM:
            return (*elements, *_footer(page))
    kept = tuple(e for e in elements if _end_mm((e,)) <= _BOTTOM_MM)
    size = _SMALL_MM
    note = "The page has no space for the rest of its content."
    notice = PlacedText(_MARGIN_MM, _FOOTER_MM - 1.6 * size, size, note, Ink.WARNING)
    return (*kept, notice, *_footer(page))


def _end_mm(elements: Sequence[Element]) -> float:
    return max(
        e.baseline_mm if isinstance(e, PlacedText) else e.top_mm + e.height_mm for e in elements
    )


def _footer(page: Page) -> Iterator[Element]:
    yield PlacedBox(_MARGIN_MM, _FOOTER_MM - 5.0, _INNER_MM, 0.2, Ink.RULE)
    yield PlacedText(_MARGIN_MM, _FOOTER_MM, _SMALL_MM, printable(page.footer), Ink.WARNING)


class _Column:
    """Places elements below each other; `scale` multiplies every size."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._top_mm = _MARGIN_MM  # where the next element starts

    def page(self, page: Page) -> Iterator[Element]:
        yield from self._text(page.title, _TITLE_MM, Ink.TEXT)
        yield from self._text(page.subtitle, _TEXT_MM, Ink.MUTED)
        yield from self._text(page.warning, _HEADING_MM, Ink.WARNING)
        yield from self._rule()
        if page.identification:
            yield from self._identification(page.identification)
            yield from self._rule()
        if page.picture is not None:
            yield from self._picture(page.picture)
        if page.table is not None:
            yield from self._table(page.table)
        for section in page.sections:
            yield from self._section(section)

    def _line(self, text: str, left_mm: float, size_mm: float, ink: Ink) -> PlacedText:
        """Places a line at the current height without moving on."""
        return PlacedText(left_mm, self._top_mm + size_mm, size_mm, text, ink)

    def _text(
        self, text: str, size_mm: float, ink: Ink, left_mm: float = _MARGIN_MM
    ) -> Iterator[Element]:
        size = size_mm * self._scale
        for line in wrap(printable(text), _RIGHT_MM - left_mm, lambda t: text_width(t, size)):
            yield self._line(line, left_mm, size, ink)
            self._top_mm += _LINE * size

    def _rule(self) -> Iterator[Element]:
        self._top_mm += 1.0 * self._scale
        yield PlacedBox(_MARGIN_MM, self._top_mm, _INNER_MM, 0.2, Ink.RULE)
        self._top_mm += 2.0 * self._scale

    def _identification(self, pairs: tuple[tuple[str, str], ...]) -> Iterator[Element]:
        for name, value in pairs:
            size = _TEXT_MM * self._scale
            yield self._line(name, _MARGIN_MM, size, Ink.MUTED)
            yield from self._text(value, _TEXT_MM, Ink.TEXT, _MARGIN_MM + _NAME_MM * self._scale)

    def _picture(self, image: Image.Image) -> Iterator[Element]:
        width = _INNER_MM * self._scale
        height = width * image.height / image.width
        left = (WIDTH_MM - width) / 2
        self._top_mm += 1.0
        yield PlacedPicture(left, self._top_mm, width, height, image)
        self._top_mm += height + 4.0 * self._scale

    def _table(self, table: Table) -> Iterator[Element]:
        size = _TEXT_MM * self._scale
        first = _MARGIN_MM + _SWATCH_MM + 3.0
        # The name of the organ has half of the width, the values share the rest.
        step = (_RIGHT_MM - first) / 2 / max(1, len(table.headings) - 1)
        lefts = [first] + [
            first + (_RIGHT_MM - first) / 2 + step * k for k in range(len(table.headings) - 1)
        ]
        for left, heading in zip(lefts, table.headings, strict=True):
            yield self._line(heading, left, size, Ink.MUTED)
        self._top_mm += _LINE * size
        for row in table.rows:
            swatch = _SWATCH_MM * self._scale
            yield PlacedBox(_MARGIN_MM, self._top_mm + 0.1 * size, swatch, 0.95 * size, row.rgb)
            widths = [right - left for left, right in zip(lefts, [*lefts[1:], _RIGHT_MM])]  # noqa: B905 the last column ends at the margin
            for left, width, cell in zip(lefts, widths, row.cells, strict=True):
                shrunk = _fitting(printable(cell), size, width - 2.0)
                yield PlacedText(left, self._top_mm + size, shrunk, printable(cell), Ink.TEXT)
            self._top_mm += _LINE * size
        self._top_mm += 2.0 * self._scale

    def _section(self, section: Section) -> Iterator[Element]:
        self._top_mm += 1.5 * self._scale
        yield from self._text(section.heading, _HEADING_MM, Ink.TEXT)
        for paragraph in section.paragraphs:
            yield from self._text(paragraph, _TEXT_MM, Ink.TEXT)
        self._top_mm += 1.5 * self._scale


def _fitting(text: str, size: float, width: float) -> float:
    """Returns the size, reduced if the text is wider than its cell."""
    needed = text_width(text, size)
    return size if needed <= width else size * width / needed
