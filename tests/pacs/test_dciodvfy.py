"""The reports of dciodvfy are exactly those that the conformance statement lists."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.domain.result_objects import NOTICE, ResultKind, ResultObject, SegEncoding
from tests.support.dicom.measured_content import body_content, organs_content
from tests.support.dicom.result_content import notice_of
from tests.support.validators import dciodvfy_reports, listed_reports, saved

# Every object that a destination can get, and the notice of a refusal.
OBJECTS = (
    *dict.fromkeys(
        ResultObject.of(kind, encoding)
        for kind in ResultKind
        if kind not in (ResultKind.NOTICE, ResultKind.REPORT)
        for encoding in SegEncoding
    ),
    NOTICE,
)

Reports = Mapping[str, list[str]]


def reports_of(content: ResultContent, folder: Path) -> Reports:
    """The reports about each object, by its name; of the captures about the first."""
    reports = defaultdict(list)
    for each in OBJECTS:
        is_notice = each == NOTICE
        dataset = notice_of(content.source) if is_notice else next(iter(encode(content, each)))
        reports[each.name] = dciodvfy_reports(saved(dataset, folder / f"{each.name}.dcm"))
    return reports


def without_optional_values(_index: int, dataset: Dataset) -> None:
    """Empties what a source may lack."""
    for keyword in (
        "PatientID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "BodyPartExamined",
    ):
        setattr(dataset, keyword, None)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    folder = tmp_path_factory.mktemp("usual")
    return reports_of(organs_content(folder), folder)


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    folder = tmp_path_factory.mktemp("poor")
    return reports_of(body_content(folder / "ct", change=without_optional_values), folder)


@pytest.mark.parametrize("name", [each.name for each in OBJECTS])
def test_dciodvfy_reports_what_is_listed_and_nothing_else(usual: Reports, name: str) -> None:
    listed = listed_reports(name)
    assert [one for one in usual[name] if not any(text in one for text in listed)] == []
    assert [text for text in listed if not any(text in one for one in usual[name])] == []


@pytest.mark.parametrize("name", [each.name for each in OBJECTS])
def test_a_source_without_some_values_adds_the_listed_warnings(poor: Reports, name: str) -> None:
    listed = listed_reports(name, poor_source=True)
    assert [one for one in poor[name] if not any(text in one for text in listed)] == []
    assert [text for text in listed if not any(text in one for one in poor[name])] == []
