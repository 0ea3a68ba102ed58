"""A strip of captions below a picture, each with the colour that it explains."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from node.dicom.results.pages.fonts import font, printable, text_width
from node.dicom.results.pages.page import Rgb
from node.dicom.results.pages.text_lines import wrap

_TEXT_RGB = (230, 230, 230)
_LINE = 1.4  # height of a line in em sizes
_GAP = 1.2  # between two captions, in em sizes
_SWATCH = 1.0  # width of the colour and the space after it, in em sizes


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
        left = 0.4 * size_px
        baseline = number * line_px + round(1.1 * size_px)
        for caption in line:
            if caption.rgb is not None:
                box = (left, baseline - 0.7 * size_px, left + 0.7 * size_px, baseline)
                draw.rectangle(box, fill=caption.rgb)
                left += _SWATCH * size_px
            draw.text((left, baseline), caption.text, _TEXT_RGB, font(size_px), anchor="ls")
            left += text_width(caption.text, size_px) + _GAP * size_px
    return strip


def _lines(captions: Sequence[Caption], width_px: int, size_px: int) -> list[list[Caption]]:
    """Distributes the captions over lines."""
    lines: list[list[Caption]] = [[]]
    left = 0.4 * size_px
    for caption in captions:
        text_px = width_px - (0.4 + _SWATCH) * size_px
        for number, part in enumerate(wrap(printable(caption.text), size_px, max(text_px, 1.0))):
            shown = Caption(part, caption.rgb if number == 0 else None)
            needed = text_width(part, size_px) + (_SWATCH * size_px if shown.rgb else 0.0)
            if lines[-1] and left + needed > width_px:
                lines.append([])
                left = 0.4 * size_px
            lines[-1].append(shown)
            left += needed + _GAP * size_px
    return lines
