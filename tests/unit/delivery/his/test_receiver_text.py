"""The words of a receiver, without what identifies the patient."""

from dataclasses import replace

import pytest

from node.delivery.his.receiver_text import without_personal_data
from node.domain.report import NameComponents, Report, ReportIdentifier, ReportName
from tests.support.reports import REPORT, with_patient


def named(family: str, identifier: str = "4711") -> Report:
    report = with_patient(
        name=ReportName(NameComponents(family)), identifier=ReportIdentifier(identifier)
    )
    return replace(report, study=replace(REPORT.study, referring_physician=ReportName()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patient MÜLLER is unknown", "patient [removed] is unknown"),
        ("Patient?identifier=urn:x|4711", "Patient?identifier=urn:x|[removed]"),
        ("no M%C3%BCller here", "no [removed] here"),
        ("number 123456 refused", "number [removed] refused"),
        ("status 422 is not 1234", "status 422 is not 1234"),
        ("two\r\nlines", "two lines"),
    ],
)
def test_what_identifies_is_replaced(text: str, expected: str) -> None:
    assert without_personal_data(text, named("Müller")) == expected


def test_a_short_name_is_replaced_as_a_word_alone() -> None:
    text = without_personal_data("AN is no partner in a transaction", named("An"))
    assert text == "[removed] is no partner in a transaction"


def test_an_ideographic_name_is_replaced_inside_a_text() -> None:
    assert without_personal_data("患者林様不明", named("林")) == "患者[removed]様不明"


def test_a_letter_is_not_replaced() -> None:
    assert without_personal_data("O dear", named("O")) == "O dear"
