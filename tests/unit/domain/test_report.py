"""The report of a job as stored JSON."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.domain.report import Quantity, Report
from tests.support.reports import REPORT, with_patient


def test_a_report_survives_its_file() -> None:
    assert Report.from_json(REPORT.to_json()) == REPORT


def test_whole_numbers_survive_as_measurements() -> None:
    organ = replace(REPORT.organs[0], volume_ml=1200, mean_hu=55)
    report = replace(REPORT, organs=(organ,))

    assert Report.from_json(report.to_json()).organs[0].volume_ml == 1200.0


def test_a_report_without_optional_values_survives_its_file() -> None:
    order = replace(REPORT.order, requested_procedure_code=None)
    series = replace(REPORT.series, number=None)
    report = replace(REPORT, order=order, series=series, organs=(), findings=(), objects=())

    assert Report.from_json(report.to_json()) == report


def test_equal_reports_give_equal_texts() -> None:
    assert replace(REPORT).to_json() == REPORT.to_json()


def test_what_is_no_number_is_not_written() -> None:
    organ = replace(REPORT.organs[0], volume_ml=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(REPORT, organs=(organ,)).to_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.update(format=2),
        lambda content: content.pop("patient"),
        lambda content: content.update(extra=1),
        lambda content: content.update(created_at="yesterday"),
        lambda content: content.update(organs={}),
        lambda content: content["organs"][0].update(volume_ml="12"),
        lambda content: content["organs"][0].update(found=1),
        lambda content: content["organs"][0].pop("code"),
        lambda content: content["findings"][0].update(kind="unheard-of"),
        lambda content: content["series"].update(number=True),
    ],
)
def test_a_damaged_file_is_an_error(damage: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(REPORT.to_json())
    damage(content)
    with pytest.raises(ValueError, match=r"\S"):
        Report.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"format": 1}'])
def test_other_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Report.from_json(text)


def test_the_representation_shows_no_patient() -> None:
    for text in ("PAT-4711", "Müller", "山田", "19610203", "ACC-1", "VISIT-9"):
        assert text not in repr(REPORT)


def test_personal_data_are_all_texts_that_identify() -> None:
    personal = REPORT.personal_data()
    for text in ("PAT-4711", "Müller-Yamada", "太郎", "1961-02-03", "ACC-1", "PLACER-1", "Weiß"):
        assert text in personal
    assert "" not in with_patient(birth_date="").personal_data()


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (Quantity.VOLUME, 1234.567),
        (Quantity.MEAN, 55.25),
        (Quantity.STANDARD_DEVIATION, 12.5),
        (Quantity.MINIMUM, -20.0),
        (Quantity.MAXIMUM, 140.0),
    ],
)
def test_each_quantity_has_its_value(quantity: Quantity, value: float) -> None:
    assert REPORT.organs[0].value_of(quantity) == value
