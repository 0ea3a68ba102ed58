"""The UPS-RS server of the tests refuses what the standard wants refused (PS3.4 CC.1.1, CC.2.5)."""

from typing import Any

import pytest
from pydicom.dataset import Dataset

from node.domain.worklists.codes import Code, Discontinuation
from node.worklists.performed import Performance, cancellation_report, completion_report
from tests.support.dicom.work_items import scheduled_work_item
from tests.support.factories import NOON
from tests.support.servers.ups_worklist import Answer, Received, UpsWorklist

KEY, OTHER = "2.25.1", "2.25.2"
PERFORMANCE = Performance(Code("A", "B", "C"), (Code("L", "B", "C"),), NOON, NOON, "x", ())
COMPLETION = completion_report(PERFORMANCE)
CANCELLATION = cancellation_report(PERFORMANCE, 0, "x", Code.of(Discontinuation.UNSPECIFIED))


@pytest.fixture
def server() -> UpsWorklist:
    """A server with one scheduled work item."""
    made = UpsWorklist()
    made.schedule(scheduled_work_item(uid="1.9"))
    return made


def request(server: UpsWorklist, method: str, path: str, body: Any, **query: str) -> Answer:
    return server.process(
        Received(method, f"/dicom-web/workitems/1.9{path}", query, body), list(query.items())
    )


def change(server: UpsWorklist, state: str, key: str = KEY) -> int:
    body: dict[str, Any] = {"00741000": {"vr": "CS", "Value": [state]}}
    if key:
        body["00081195"] = {"vr": "UI", "Value": [key]}
    return request(server, "PUT", "/state", body).status


def update(server: UpsWorklist, changes: Dataset, key: str = KEY) -> int:
    body = changes.to_json_dict() | {"00081195": {"vr": "UI", "Value": [key]}}
    query = {"transaction-uid": key} if key else {}
    return request(server, "POST", "", body, **query).status


def test_a_state_change_needs_the_transaction_uid_and_a_legal_transition(
    server: UpsWorklist,
) -> None:
    assert change(server, "IN PROGRESS", "") == 400
    assert change(server, "COMPLETED") == 409
    assert change(server, "SCHEDULED") == 400
    assert change(server, "IN PROGRESS") == 200
    assert change(server, "IN PROGRESS") == 409
    assert change(server, "IN PROGRESS", OTHER) == 409
    assert change(server, "COMPLETED", OTHER) == 400
    assert server.changes == [("1.9", "IN PROGRESS")]


@pytest.mark.parametrize(
    ("state", "report", "wrong"),
    [("COMPLETED", COMPLETION, "CANCELED"), ("CANCELED", CANCELLATION, "COMPLETED")],
)
def test_a_final_state_needs_its_attributes_and_is_final(
    server: UpsWorklist, state: str, report: Dataset, wrong: str
) -> None:
    change(server, "IN PROGRESS")
    assert change(server, state) == 409
    assert update(server, report) == 200
    assert change(server, state) == 200
    assert change(server, state) == 200
    assert change(server, wrong) == 409
    assert update(server, report) == 400
    assert server.changes == [("1.9", "IN PROGRESS"), ("1.9", state)]


def test_only_the_owner_may_update_and_only_what_a_performer_sets(server: UpsWorklist) -> None:
    assert update(server, COMPLETION) == 409
    change(server, "IN PROGRESS")
    assert update(server, COMPLETION, "") == 400
    assert update(server, COMPLETION, OTHER) == 400
    forbidden = Dataset()
    forbidden.ProcedureStepState = "COMPLETED"
    assert update(server, forbidden) == 400


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PerformedProcedureStepEndDateTime", None),
        ("PerformedStationNameCodeSequence", None),
        ("PerformedWorkitemCodeSequence", []),
        ("OutputInformationSequence", None),
    ],
)
def test_each_attribute_of_the_final_state_is_required(
    server: UpsWorklist, keyword: str, value: object
) -> None:
    change(server, "IN PROGRESS")
    report = completion_report(PERFORMANCE)
    (item,) = report.UnifiedProcedureStepPerformedProcedureSequence
    if value is None:
        delattr(item, keyword)
    else:
        setattr(item, keyword, value)
    assert update(server, report) == 200
    assert change(server, "COMPLETED") == 409


def test_an_output_needs_a_place_to_retrieve_it_from(server: UpsWorklist) -> None:
    change(server, "IN PROGRESS")
    report = completion_report(PERFORMANCE)
    output = Dataset()
    output.TypeOfInstances = "DICOM"
    output.StudyInstanceUID = "1.2"
    output.SeriesInstanceUID = "1.2.3"
    reference = Dataset()
    reference.ReferencedSOPClassUID = reference.ReferencedSOPInstanceUID = "1.2"
    output.ReferencedSOPSequence = [reference]
    (item,) = report.UnifiedProcedureStepPerformedProcedureSequence
    item.OutputInformationSequence = [output]
    assert update(server, report) == 400


def test_a_scheduled_work_item_is_canceled_at_once_and_an_ended_one_is_not(
    server: UpsWorklist,
) -> None:
    assert server.request_cancellation("1.9").status == 202
    assert server.changes == [("1.9", "IN PROGRESS"), ("1.9", "CANCELED")]
    assert server.request_cancellation("1.9").status == 409


def test_a_performer_that_is_not_connected_cannot_be_asked(server: UpsWorklist) -> None:
    change(server, "IN PROGRESS")
    assert server.request_cancellation("1.9").warning == "The performer cannot be contacted."
