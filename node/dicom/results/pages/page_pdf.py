"""Writes a page as a PDF file with real text, dark on light as it is printed."""

from datetime import datetime

from node.dicom.results.pages.fonts import font_path
from node.dicom.results.pages.layout import Ink, PlacedBox, PlacedPicture, PlacedText, lay_out
from node.dicom.results.pages.page import Page, Rgb

_POINTS_PER_MM = 72 / 25.4
_PALETTE: dict[Ink, Rgb] = {
    Ink.TEXT: (20, 20, 20),
    Ink.MUTED: (95, 95, 95),
    Ink.WARNING: (150, 70, 0),
    Ink.RULE: (170, 170, 170),
}


def page_pdf(page: Page, made_at: datetime) -> bytes:
    """Returns the page as PDF; equal input gives equal bytes, `made_at` is its creation date.

    The characters that it uses are embedded, so that it prints the same everywhere. Pictures are
    stored without loss.
    """
    # It takes a quarter of a second to import, and most sites want no PDF.
    from fpdf import FPDF

    pdf = FPDF(orientation="portrait", unit="mm", format="A4")
    pdf.set_creation_date(made_at)
    pdf.set_title(page.title)
    pdf.set_creator("segnode")
    pdf.set_lang("en")
    pdf.set_image_filter("FlateDecode")
    pdf.set_auto_page_break(auto=False)
    pdf.add_font("page", fname=font_path())
    pdf.add_page()
    for element in lay_out(page):
        match element:
            case PlacedText(left_mm=left, baseline_mm=baseline):
                pdf.set_font("page", size=element.size_mm * _POINTS_PER_MM)
                pdf.set_text_color(*_PALETTE[element.ink])
                pdf.text(left, baseline, element.text)
            case PlacedBox(left_mm=left, top_mm=top):
                fill = _PALETTE[element.fill] if isinstance(element.fill, Ink) else element.fill
                pdf.set_fill_color(*fill)
                pdf.rect(left, top, element.width_mm, element.height_mm, style="F")
            case PlacedPicture(left_mm=left, top_mm=top):
                pdf.image(element.image, left, top, element.width_mm, element.height_mm)
    return bytes(pdf.output())
