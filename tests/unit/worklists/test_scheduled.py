"""Reading of work items as servers send them."""

from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset

from node.domain.errors import Rejected
from node.domain.worklists.codes import Code
from node.worklists.scheduled import read_many, read_scheduled
from tests.support.dicom.work_items import scheduled_work_item, series_input
from tests.support.factories import NOON


def test_a_work_item_is_read() -> None:
    one = series_input("1.2", "1.2.3", instances=["1.2.3.1"], url="http://a/studies/1.2")
    item = read_scheduled(scheduled_work_item(one, uid="1.9", station="AI-1", label="AI"))
    assert (item.uid, item.state, item.label) == ("1.9", "SCHEDULED", "AI")
    assert item.workitem_codes == (Code("LIVER", "99HOSP", "Liver segmentation"),)
    assert [code.value for code in item.station_codes] == ["AI-1"]
    (read,) = item.inputs
    assert (read.study_instance_uid, read.series_instance_uid) == ("1.2", "1.2.3")
    assert (read.sop_instance_uids, read.retrieve_urls) == (("1.2.3.1",), ("http://a/studies/1.2",))


@pytest.mark.parametrize(
    ("value", "offset", "expected"),
    [
        ("20260102120000+0200", "", datetime(2026, 1, 2, 10, tzinfo=UTC)),
        ("20260102120000", "-0530", datetime(2026, 1, 2, 17, 30, tzinfo=UTC)),
        ("20260102", "+0000", datetime(2026, 1, 2, tzinfo=UTC)),
        ("soon", "", None),
        ("", "", None),
        ("20261399", "+0000", None),
    ],
)
def test_a_time_counts_in_its_own_offset_else_in_that_of_the_data_set(
    value: str, offset: str, expected: datetime | None
) -> None:
    dataset = Dataset.from_json(
        {
            "00080018": {"vr": "UI", "Value": ["1.2"]},
            "00404005": {"vr": "LO", "Value": [value]},
            "00080201": {"vr": "SH", "Value": [offset]},
        }
    )
    assert read_scheduled(dataset).starts_at == expected


@pytest.mark.parametrize(
    ("keyword", "value", "is_due"),
    [
        ("ScheduledProcedureStepStartDateTime", "20260102115959+0000", True),
        ("ScheduledProcedureStepStartDateTime", "20260102120001+0000", False),
        ("ScheduledProcedureStepExpirationDateTime", "20260102115959+0000", False),
        ("ScheduledProcedureStepExpirationDateTime", "20260102120001+0000", True),
        ("InputReadinessState", "INCOMPLETE", False),
        ("InputReadinessState", "UNAVAILABLE", False),
        ("InputReadinessState", "READY", True),
    ],
)
def test_a_work_item_is_due_when_it_is_ready_between_start_and_expiration(
    keyword: str, value: str, is_due: bool
) -> None:
    dataset = scheduled_work_item(starts="20260101000000+0000")
    setattr(dataset, keyword, value)
    assert read_scheduled(dataset).is_due(NOON) is is_due


def test_work_items_without_a_valid_uid_are_omitted() -> None:
    nameless = scheduled_work_item()
    del nameless.SOPInstanceUID
    with pytest.raises(Rejected):
        read_scheduled(nameless)
    assert [one.uid for one in read_many([nameless, scheduled_work_item(uid="1.9")])] == ["1.9"]


def test_an_empty_work_item_is_read() -> None:
    item = read_scheduled(Dataset.from_json({"00080018": {"vr": "UI", "Value": ["1.2"]}}))
    assert (item.workitem_codes, item.inputs, item.priority) == ((), (), "")
    assert item.is_due(NOON)
