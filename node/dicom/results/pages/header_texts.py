"""Texts of a page that come from DICOM headers: patient, study and source series."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from node.dicom.ct.headers import PARSE_ERRORS
from node.dicom.results.context import copy_context_attributes
from node.dicom.results.pages.fonts import is_covered, printable

NOT_STATED = "not stated"
_NOT_PRINTABLE = "in a script that this page cannot print; see the DICOM header"


def header_text(header: Dataset, keyword: str) -> str:
    """Returns the value on one line; empty if it is absent, empty or unreadable."""
    try:
        value = header.get(keyword)
        return "" if value is None else printable(str(value))
    except PARSE_ERRORS:
        return ""


def date_text(value: str) -> str:
    """Returns a DICOM date (DA) as 2026-05-04; another text unchanged."""
    if len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value


def name_text(person_name: str) -> str:
    """Returns a person's name (PN, PS3.5 6.2.1) as it is read.

    `Yamada^Tarou=山田^太郎` becomes `Yamada, Tarou (山田, 太郎)`. A group that the font does not
    cover is left out; if none is left, the text says so.
    """
    groups = [_group_text(group) for group in person_name.split("=")]
    stated = [group for group in groups if group]
    if not stated:
        return NOT_STATED
    covered = [group for group in stated if is_covered(group)]
    if not covered:
        return _NOT_PRINTABLE
    first, *others = covered
    return f"{first} ({' / '.join(others)})" if others else first


def _group_text(group: str) -> str:
    """Returns one component group: the family name, a comma, then the other components."""
    family, *others = (" ".join(part.split()) for part in group.split("^"))
    rest = " ".join(part for part in others if part)
    return ", ".join(part for part in (family, rest) if part)


def identification(header: Dataset) -> tuple[tuple[str, str], ...]:
    """Returns name and value of what identifies patient and study, for a document on paper."""
    known = Dataset()
    copy_context_attributes(header, known, ())  # leaves out values that cannot be read

    def text(keyword: str) -> str:
        return header_text(known, keyword) or NOT_STATED

    name = str(known.get("PatientName") or "")
    return (
        ("Patient", name_text(name)),
        ("Patient ID", text("PatientID")),
        ("Born", date_text(text("PatientBirthDate"))),
        ("Accession", text("AccessionNumber")),
        ("Study date", date_text(text("StudyDate"))),
    )


def series_texts(headers: Sequence[Dataset], count_text: str) -> tuple[str, ...]:
    """Returns lines that describe a series: number and description, date, and `count_text`."""
    header = headers[0] if headers else Dataset()
    number = header_text(header, "SeriesNumber")
    description = header_text(header, "SeriesDescription")
    named = f"Series {number or 'without number'}"
    dates = (
        header_text(header, keyword) for keyword in ("AcquisitionDate", "SeriesDate", "StudyDate")
    )
    date = next((date_text(date) for date in dates if date), "")
    acquired = f"acquired {date}" if date else "date not stated"
    return (f"{named}: {description}" if description else named, f"{count_text}, {acquired}")
