"""What a page of results says, without its layout."""

from dataclasses import dataclass, field

from PIL import Image

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class TableRow:
    """A row of the table: its cells, and the colour that the organ has in the picture."""

    cells: tuple[str, ...]
    rgb: Rgb


@dataclass(frozen=True)
class Table:
    """A table; every row has as many cells as there are headings."""

    headings: tuple[str, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True)
class Section:
    """A heading and paragraphs."""

    heading: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """One page. `identification` has the patient's data: empty where they must not be drawn."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str
    warning: str = ""  # below the title; empty if there is none
    identification: tuple[tuple[str, str], ...] = ()  # name and value
    picture: Image.Image | None = field(default=None, repr=False)
    table: Table | None = None
