"""Texts from headers are readable, and a name is never printed as question marks."""

import pytest
from pydicom.dataset import Dataset

from node.dicom.results.pages.fonts import OMITTED, is_covered, printable
from node.dicom.results.pages.header_texts import (
    date_text,
    header_text,
    identification,
    name_text,
    series_texts,
)


@pytest.mark.parametrize(
    ("person_name", "text"),
    [
        ("Müller^Jörg", "Müller, Jörg"),
        ("Nguyễn^Thị Ánh^^Dr.", "Nguyễn, Thị Ánh Dr."),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎 / やまだ, たろう)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong (洪, 吉洞 / 홍, 길동)"),
        ("Люкceмбypг", "Люкceмбypг"),
        ("Διονυσιος", "Διονυσιος"),
        ("=张^伟", "张, 伟"),
        ("CHAOS", "CHAOS"),
        ("", "not stated"),
        ("^^^", "not stated"),
        ("Haddad^Rania=حداد^رانيا", "Haddad, Rania"),
        ("สมชาย", "in a script that this page cannot print; see the DICOM header"),
    ],
)
def test_a_name_is_written_as_it_is_read(person_name: str, text: str) -> None:
    assert name_text(person_name) == text
    assert is_covered(name_text(person_name))


def test_characters_that_the_font_lacks_are_marked_as_left_out() -> None:
    assert printable("CT สมชาย สม abdomen") == f"CT {OMITTED} abdomen"
    assert printable("line\nbreak\t\x00 tab") == "line break tab"
    assert printable("e\u0301") == "é"  # one character for two


def test_dates_are_written_with_hyphens() -> None:
    assert date_text("20260504") == "2026-05-04"
    assert date_text("yesterday") == "yesterday"


def test_the_identification_says_what_is_not_stated() -> None:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = "Müller^Jörg"
    header.PatientID = "4711"
    header.StudyDate = "20260504"
    assert identification(header) == (
        ("Patient", "Müller, Jörg"),
        ("Patient ID", "4711"),
        ("Born", "not stated"),
        ("Accession", "not stated"),
        ("Study date", "2026-05-04"),
    )


def test_a_series_is_described_by_number_description_slices_and_date() -> None:
    header = Dataset()
    assert series_texts([header], "3 slices") == (
        "Series without number",
        "3 slices, date not stated",
    )
    header.SeriesNumber = 4
    header.SeriesDescription = "Abdomen KM portalvenös"
    header.SeriesDate = "20260503"
    assert series_texts([header], "3 slices") == (
        "Series 4: Abdomen KM portalvenös",
        "3 slices, acquired 2026-05-03",
    )
    assert series_texts([], "3 slices")[0] == "Series without number"


def test_a_value_that_cannot_be_read_is_empty() -> None:
    class Damaged(Dataset):
        def get(self, _key: object, _default: object = None) -> object:  # type: ignore[override] # as pydicom on damaged bytes
            raise ValueError("invalid value")

    assert header_text(Damaged(), "SeriesNumber") == ""
