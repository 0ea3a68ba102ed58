"""The conformance statement and its tables."""

import re
from pathlib import Path

from pydicom.datadict import keyword_for_tag

TEXT = (Path(__file__).parents[2] / "conformance_statement.md").read_text(encoding="utf-8")


def table(first_heading: str) -> list[list[str]]:
    """The rows of the only table with that first heading, without backquotes."""
    return [[cell.replace("`", "") for cell in row] for row in table_with_quotes(first_heading)]


def table_with_quotes(first_heading: str) -> list[list[str]]:
    """The same rows with the backquotes, which stand around exact values."""
    heading = re.escape(first_heading)
    tables = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert len(tables) == 1, f"{len(tables)} tables start with a column {first_heading!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[0].splitlines()]


def keyword(tag: str) -> str:
    """The keyword of a tag that is written as (gggg,eeee)."""
    return keyword_for_tag(tag.strip("()").replace(",", ""))
