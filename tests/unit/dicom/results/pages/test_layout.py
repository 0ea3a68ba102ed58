"""No text of a page overlaps another or leaves the page, however much the page says."""

from itertools import combinations

import pytest
from PIL import Image

from node.dicom.results.pages.fonts import text_width
from node.dicom.results.pages.layout import (
    HEIGHT_MM,
    WIDTH_MM,
    Element,
    PlacedBox,
    PlacedPicture,
    PlacedText,
    lay_out,
)
from node.dicom.results.pages.page import Page, Section, Table, TableRow

_LONG = "A finding with many words that go on until the line is full and a second one begins. " * 2


def page(organs: int = 9, findings: int = 3, name: str = "Liver") -> Page:
    rows = tuple(
        TableRow((f"{name} {k}", "at least 1523 mL", "104 HU"), (k, 0, 0)) for k in range(organs)
    )
    return Page(
        title="Automatic segmentation",
        subtitle="not for diagnostic use",
        identification=(("Patient", "Yamada, Tarou (山田, 太郎)"), ("Patient ID", "4711")),
        picture=Image.new("RGB", (1036, 516)),
        table=Table(("Organ", "Volume", "Mean attenuation"), rows),
        sections=(Section("Findings", (_LONG,) * findings), Section("Model", ("liver-ct 1",))),
        footer="Not for diagnostic use.",
    )


def box(element: Element) -> tuple[float, float, float, float]:
    """Returns left, top, right and bottom; for a text without the white around the characters."""
    if isinstance(element, PlacedText):
        width = text_width(element.text, element.size_mm)
        top = element.baseline_mm - 0.8 * element.size_mm
        return element.left_mm, top, element.left_mm + width, element.baseline_mm + 0.2
    right, bottom = element.left_mm + element.width_mm, element.top_mm + element.height_mm
    return element.left_mm, element.top_mm, right, bottom


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(page(), id="usual"),
        pytest.param(page(organs=1, findings=0), id="one organ"),
        pytest.param(page(organs=30, findings=8), id="much"),
        pytest.param(page(organs=120, findings=60), id="too much"),
        pytest.param(page(name="An organ with a very long name " * 4), id="long names"),
    ],
)
def test_nothing_overlaps_and_nothing_leaves_the_page(content: Page) -> None:
    elements = lay_out(content)
    for one, other in combinations(elements, 2):
        a, b = box(one), box(other)
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (one, other)
    for element in elements:
        left, top, right, bottom = box(element)
        assert left >= 0
        assert top >= 0
        assert right <= WIDTH_MM
        assert bottom <= HEIGHT_MM


def texts(content: Page) -> list[str]:
    return [element.text for element in lay_out(content) if isinstance(element, PlacedText)]


def test_all_content_is_on_the_page() -> None:
    content = page(organs=30, findings=8)
    shown = " ".join(texts(content))
    assert all(cell in shown for row in content.table.rows for cell in row.cells)  # type: ignore[union-attr] # there is a table
    assert shown.count("until the line is full") == 16
    assert any(isinstance(element, PlacedPicture) for element in lay_out(content))
    swatches = [e.fill for e in lay_out(content) if isinstance(e, PlacedBox)]
    assert all((k, 0, 0) in swatches for k in range(30))


def test_content_without_space_is_announced_as_left_out() -> None:
    assert "The page has no space for the rest of its content." in texts(page(organs=120))
    assert "The page has no space for the rest of its content." not in texts(page(organs=30))
    assert texts(page(organs=120))[-1] == "Not for diagnostic use."
