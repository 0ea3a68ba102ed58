"""The source of each input series, and the input that cannot be used."""

import pytest
from pydicom.dataset import Dataset

from node.domain.errors import Rejected
from node.worklists.input_sources import InputSources
from node.worklists.scheduled import read_scheduled
from tests.support.dicom.work_items import scheduled_work_item, series_input

SOURCES = InputSources({"http://a/dicom-web": "a"}, {"PACS": "pacs"}, None)


def test_an_address_selects_the_source_and_a_series_counts_once() -> None:
    url = "http://a/dicom-web/studies/1.2/series/1.2.3"
    item = scheduled_work_item(
        series_input("1.2", "1.2.4", ae_title="PACS"),
        series_input("1.2", "1.2.3", instances=["1.2.3.2"], url=url),
        series_input("1.2", "1.2.3", instances=["1.2.3.1"], url=url),
    )
    first, second = SOURCES.inputs_of(read_scheduled(item))
    assert (first.series_instance_uid, first.source) == ("1.2.3", "a")
    assert first.sop_instance_uids == ("1.2.3.1", "1.2.3.2")
    assert (second.series_instance_uid, second.source) == ("1.2.4", "pacs")


def test_input_that_is_not_dicom_is_left_out() -> None:
    report = series_input("1.2", "1.2.9", ae_title="PACS")
    report.TypeOfInstances = "CDA"
    item = scheduled_work_item(report, series_input("1.2", "1.2.3", ae_title="PACS"))
    (one,) = SOURCES.inputs_of(read_scheduled(item))
    assert one.series_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (None, "names no DICOM series"),
        (series_input("1.2", "", ae_title="PACS"), "without Study and Series Instance UID"),
        (series_input("", "1.2.3", ae_title="PACS"), "without Study and Series Instance UID"),
        (series_input("1.2", "1.2.3", ae_title="OTHER"), "names OTHER to retrieve its input from"),
        (series_input("1.2", "1.2.3"), "names no place to retrieve its input from"),
    ],
)
def test_input_that_cannot_be_used_is_rejected(one: Dataset | None, message: str) -> None:
    item = scheduled_work_item() if one is None else scheduled_work_item(one)
    with pytest.raises(Rejected, match=message):
        SOURCES.inputs_of(read_scheduled(item))


def test_the_message_about_an_unknown_address_shows_its_host_alone() -> None:
    url = "http://b.test/dicom-web/studies/1.2?PatientName=Secret"
    item = scheduled_work_item(series_input("1.2", "1.2.3", url=url))
    with pytest.raises(Rejected, match=r"names b\.test to") as caught:
        SOURCES.inputs_of(read_scheduled(item))
    assert "Secret" not in str(caught.value)
