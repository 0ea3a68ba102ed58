"""The font of pages and captions: one file for pictures and PDF, with Chinese, Japanese and Korean.

The font (WenQuanYi Micro Hei) covers Latin with all its accents, Greek, Cyrillic, kana, Hangul and
Chinese characters. It does not cover Arabic, Hebrew, Thai, the scripts of India, Georgian and
Armenian. Texts in those scripts are never printed as boxes or question marks: `printable` marks
where characters are left out.
"""

import re
import unicodedata
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from fontTools.ttLib import TTCollection
from PIL import ImageFont

_DISTRIBUTION = "paperang-p2-fonts-cjk"
_FILE = "paperang_p2_fonts_cjk/fonts/wqy-microhei.ttc"
_MEASURED_PX = 100  # large enough that the rounding of advances to 1/64 pixel does not count
OMITTED = "[…]"  # where characters are left out


@cache
def font_path() -> Path:
    """Returns the font file; the package that brings it is not imported."""
    return Path(str(distribution(_DISTRIBUTION).locate_file(_FILE)))


@cache
def font(size_px: float) -> ImageFont.FreeTypeFont:
    """Returns the font for pictures; `size_px` is its em size."""
    # The basic layout does not depend on libraries of the operating system.
    return ImageFont.truetype(font_path(), size_px, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, size: float) -> float:
    """Returns the width of a line of text in the unit of `size`, its em size."""
    return font(_MEASURED_PX).getlength(text) * size / _MEASURED_PX


@cache
def _covered() -> frozenset[int]:
    with TTCollection(font_path(), lazy=True) as collection:
        return frozenset(collection.fonts[0].getBestCmap())


def is_covered(text: str) -> bool:
    """Whether the font has every character of the text."""
    return all(ord(character) in _covered() for character in text)


def printable(text: str) -> str:
    """Returns the text on one line; characters that the font lacks become one `[…]` per run."""
    composed = unicodedata.normalize("NFC", text)
    line = " ".join("".join(c if c.isprintable() else " " for c in composed).split())
    marked = "".join(c if ord(c) in _covered() else "\0" for c in line)
    return re.sub(r"\0(?:[\0 ]*\0)?", OMITTED, marked)
