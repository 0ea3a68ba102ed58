"""Draws a page as a picture, light on dark as the screens of a PACS are."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from node.dicom.results.pages.fonts import font
from node.dicom.results.pages.layout import (
    HEIGHT_MM,
    WIDTH_MM,
    Ink,
    PlacedBox,
    PlacedPicture,
    PlacedText,
    lay_out,
)
from node.dicom.results.pages.page import Page, Rgb

_WIDTH_PX = 1024
_PX_PER_MM = _WIDTH_PX / WIDTH_MM
_HEIGHT_PX = round(HEIGHT_MM * _PX_PER_MM)
_BACKGROUND = (12, 12, 12)
_PALETTE: dict[Ink, Rgb] = {
    Ink.TEXT: (235, 235, 235),
    Ink.MUTED: (165, 165, 165),
    Ink.WARNING: (255, 196, 87),
    Ink.RULE: (90, 90, 90),
}


def page_picture(page: Page) -> NDArray[np.uint8]:
    """Returns the page as (row, column, RGB), 1024 pixels wide."""
    picture = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for element in lay_out(page):
        match element:
            case PlacedText(left_mm=left, baseline_mm=baseline):
                draw.text(
                    (left * _PX_PER_MM, baseline * _PX_PER_MM),
                    element.text,
                    fill=_PALETTE[element.ink],
                    font=font(round(element.size_mm * _PX_PER_MM, 2)),
                    anchor="ls",
                )
            case PlacedBox():
                fill = _PALETTE[element.fill] if isinstance(element.fill, Ink) else element.fill
                draw.rectangle(_rectangle_px(element), fill=fill)
            case PlacedPicture():
                left_px, top_px, right_px, bottom_px = _rectangle_px(element)
                size = (right_px - left_px + 1, bottom_px - top_px + 1)
                scaled = element.image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
                picture.paste(scaled, (left_px, top_px))
    return np.asarray(picture)


def _rectangle_px(element: PlacedBox | PlacedPicture) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom in pixels, all included; at least one pixel each way."""
    left, top = round(element.left_mm * _PX_PER_MM), round(element.top_mm * _PX_PER_MM)
    width, height = element.width_mm * _PX_PER_MM, element.height_mm * _PX_PER_MM
    return left, top, left + max(1, round(width)) - 1, top + max(1, round(height)) - 1
