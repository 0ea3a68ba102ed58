"""A strip of captions below a picture, each with the colour that it explains."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from node.dicom.results.pages.fonts import font, printable
from node.dicom.results.pages.page import Rgb
from node.dicom.results.pages.text_lines import wrap

_TEXT_RGB = (230, 230, 230)
_LINE = 1.4  # height of a line in em sizes
_GAP = 1.2  # between two captions, in em sizes
_SWATCH = 1.0  # width of the colour and the space after it, in em sizes
_MARGIN = 0.4  # left and right, in em sizes


@dataclass(frozen=True)
class Caption:
    """A short text; `rgb` is the colour that it explains, drawn before the text."""

    text: str
    rgb: Rgb | None = None


def caption_strip(captions: Sequence[Caption], width_px: int, size_px: int) -> Image.Image:
    """Returns a black strip that is `width_px` wide and as high as its lines of captions.

    A caption stays on one line where it fits. In a strip narrower than a word, words are broken.
    """
    lines = _lines(captions, width_px, size_px)
    line_px = round(_LINE * size_px)
    strip = Image.new("RGB", (width_px, len(lines) * line_px + size_px // 3))
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        left = _MARGIN * size_px
        baseline = number * line_px + round(1.1 * size_px)
        for caption in line:
            if caption.rgb is not None:
                box = (left, baseline - 0.7 * size_px, left + 0.7 * size_px, baseline)
                draw.rectangle(box, fill=caption.rgb)
            swatch_px = _SWATCH * size_px if caption.rgb is not None else 0.0
            at = (left + swatch_px, baseline)
            draw.text(at, caption.text, _TEXT_RGB, font(size_px), anchor="ls")
            left += _width_px(caption, size_px) + _GAP * size_px
    return strip


def _width_px(caption: Caption, size_px: int) -> float:
    """Returns the width as it is drawn: at small sizes, characters are set on whole pixels."""
    swatch_px = _SWATCH * size_px if caption.rgb is not None else 0.0
    return swatch_px + font(size_px).getlength(caption.text)


def _lines(captions: Sequence[Caption], width_px: int, size_px: int) -> list[list[Caption]]:
    """Distributes the captions over lines."""
    lines: list[list[Caption]] = [[]]
    start = _MARGIN * size_px
    left = start
    for caption in captions:
        text_px = max(width_px - 2 * start - _SWATCH * size_px, 1.0)
        for number, part in enumerate(
            wrap(printable(caption.text), text_px, font(size_px).getlength)
        ):
            shown = Caption(part, caption.rgb if number == 0 else None)
            needed = _width_px(shown, size_px)
            if lines[-1] and left + needed > width_px - start:
                lines.append([])
                left = start
            lines[-1].append(shown)
            left += needed + _GAP * size_px
    return lines
