"""Work items of a strict UPS-RS server: claimed, performed, completed or canceled."""

from pathlib import Path

import pytest

from node.domain.errors import RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import HELD, JobState
from node.domain.worklists.work_item import WorkItemState
from tests.support.dicom.work_items import series_input
from tests.support.servers.performing_node import (
    SEG_STORAGE,
    SERIES,
    STUDY,
    PerformingNode,
)
from tests.support.servers.ups_server import UpsOriginServer


def reason_code(ups: UpsOriginServer, uid: str) -> str:
    """The code value of the reason for which a work item was canceled."""
    (code,) = ups.progress(uid).ProcedureStepDiscontinuationReasonCodeSequence
    assert code.CodingSchemeDesignator == "DCM"
    return str(code.CodeValue)


def test_a_work_item_is_performed_and_completed(node: PerformingNode, ups: UpsOriginServer) -> None:
    uid = node.claim()
    assert (ups.state(uid), node.state(uid)) == ("IN PROGRESS", WorkItemState.PERFORMING)
    job = node.deliver(node.job())

    node.poll()

    assert (ups.state(uid), node.state(uid)) == ("COMPLETED", WorkItemState.COMPLETED)
    assert ups.refused == []
    assert ups.progress(uid).ProcedureStepProgress == 100
    performed = ups.performed(uid)
    assert performed.PerformedProcedureStepDescription == "liver-ct 1.0"
    assert performed.PerformedWorkitemCodeSequence[0].CodeValue == "LIVER"
    assert performed.PerformedStationNameCodeSequence[0].CodeValue == "SEGNODE"
    (output,) = performed.OutputInformationSequence
    assert output.StudyInstanceUID == STUDY
    assert output.SeriesInstanceUID == job.result_uids.series_instance_uid
    (reference,) = output.ReferencedSOPSequence
    assert reference.ReferencedSOPClassUID == SEG_STORAGE
    assert reference.ReferencedSOPInstanceUID == job.result_uids.sop_instance_uid()
    assert output.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    url = f"http://pacs.test/dicom-web/studies/{STUDY}/series/{output.SeriesInstanceUID}"
    assert output.WADORSRetrievalSequence[0].RetrieveURL == url


def test_progress_is_reported_when_it_changes(node: PerformingNode, ups: UpsOriginServer) -> None:
    node.add_images()
    node.unreachable.add(SERIES)
    uid = node.schedule()
    node.poll()
    assert ups.progress(uid).ProcedureStepProgress == 10
    assert "retrieving images from web" in ups.progress(uid).ProcedureStepProgressDescription
    node.unreachable.clear()
    node.poll()
    assert ups.progress(uid).ProcedureStepProgressDescription == "waiting for the model"
    reports = len(node.names("update"))
    node.poll()
    assert len(node.names("update")) == reports
    node.store_result(node.job())
    node.poll()
    assert ups.progress(uid).ProcedureStepProgress == 80
    assert ups.progress(uid).ProcedureStepProgressDescription == "storing the result"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (RejectionReason.TOO_FEW_SLICES, "110523"),
        (RejectionReason.NOT_CT, "110522"),
        (RejectionReason.MIXED_GEOMETRY, "110521"),
        (RejectionReason.NOT_BELIEVABLE, "110513"),
    ],
)
def test_a_refused_series_cancels_its_work_item_with_a_coded_reason(
    node: PerformingNode, ups: UpsOriginServer, reason: RejectionReason, code: str
) -> None:
    uid = node.claim()
    node.refuse(node.job(), reason, "The series has 3 slices; liver-ct needs 10.")
    node.poll()
    assert (ups.state(uid), node.state(uid)) == ("CANCELED", WorkItemState.CANCELED)
    assert reason_code(ups, uid) == code
    text = f"series {SERIES}: it is refused: The series has 3 slices; liver-ct needs 10."
    assert ups.progress(uid).ReasonForCancellation == text
    assert node.item(uid).reason == text
    assert ups.performed(uid).OutputInformationSequence == []
    assert ups.refused == []


def test_images_that_cannot_be_had_cancel_the_work_item(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.schedule()
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert reason_code(ups, uid) == "110523"
    assert "could not be retrieved: it does not have this series" in node.item(uid).reason


def test_a_listed_image_that_is_missing_cancels_the_work_item(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uids = [*node.add_images(), "1.2.3.99"]
    uid = node.schedule(series_input(STUDY, SERIES, instances=uids))
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert reason_code(ups, uid) == "110523"
    assert "1 of the 3 images that the work item lists are not at web" in node.item(uid).reason


def test_a_series_that_the_rule_does_not_select_cancels_the_work_item(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images(modality="MR")
    uid = node.schedule()
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert reason_code(ups, uid) == "110522"
    assert "rule 'liver' does not apply to it" in node.item(uid).reason
    assert node.store.jobs_of(SERIES) == ()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("the PACS is down", "waiting for a person: the PACS is down"),
        (f"{HELD}the liver has 3 parts", "held for a person: the liver has 3 parts"),
    ],
)
def test_a_discarded_job_cancels_its_work_item(
    node: PerformingNode, ups: UpsOriginServer, reason: str, text: str
) -> None:
    uid = node.claim()
    job = node.job()
    node.store.change_job(job.job_id, JobState.PARKED, node.time, reason=reason)
    node.poll()
    assert ups.state(uid) == "IN PROGRESS"
    assert ups.progress(uid).ProcedureStepProgressDescription == text
    node.store.change_job(job.job_id, JobState.DISCARDED, node.time)
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert reason_code(ups, uid) == "110513"
    assert "a person discarded its job" in node.item(uid).reason


def test_of_several_series_those_that_the_rule_does_not_select_are_skipped(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    node.add_images("1.2.4", modality="MR")
    uid = node.schedule(series_input(STUDY, SERIES), series_input(STUDY, "1.2.4"))
    node.poll()
    node.deliver(node.job())
    node.poll()
    assert ups.state(uid) == "COMPLETED"
    assert len(ups.performed(uid).OutputInformationSequence) == 1


def test_a_work_item_of_which_one_series_fails_is_canceled_with_the_output_of_the_others(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    node.add_images("1.2.4")
    uid = node.schedule(series_input(STUDY, SERIES), series_input(STUDY, "1.2.4"))
    node.poll()
    node.refuse(node.job("1.2.4"), RejectionReason.UNREADABLE, "Damaged.")
    node.poll()
    assert ups.state(uid) == "IN PROGRESS"
    node.deliver(node.job())
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert reason_code(ups, uid) == "110521"
    assert node.item(uid).reason == "series 1.2.4: it is refused: Damaged."
    assert len(ups.performed(uid).OutputInformationSequence) == 1


def test_only_objects_that_an_archive_received_are_output(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    node.deliver(node.job(), {"web": "not accepted, capture sent instead: no"})
    node.poll()
    (output,) = ups.performed(uid).OutputInformationSequence
    assert output.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    assert "WADORSRetrievalSequence" not in output


def test_a_result_that_exists_already_completes_the_work_item(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    first = node.claim()
    job = node.deliver(node.job())
    node.poll()
    second = node.schedule(priority="HIGH")
    node.poll()
    assert [ups.state(uid) for uid in (first, second)] == ["COMPLETED", "COMPLETED"]
    assert [one.job_id for one in node.store.jobs_of(SERIES)] == [job.job_id]
    outputs = [ups.performed(uid).OutputInformationSequence for uid in (first, second)]
    assert outputs[0] == outputs[1]


def test_a_result_that_retention_has_deleted_is_made_again(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.claim()
    job = node.deliver(node.job())
    node.poll()
    assert node.store.clear_series(SERIES, node.time)
    uid = node.schedule(priority="HIGH")
    node.poll()
    assert node.job().state is JobState.QUEUED
    node.deliver(node.job())
    node.poll()
    assert ups.state(uid) == "COMPLETED"
    assert node.job().job_id == job.job_id


def test_a_series_without_a_work_item_is_not_processed(node: PerformingNode) -> None:
    node.add_images()
    node.store.request_retrieval("web", Uid(STUDY), Uid(SERIES), node.time)
    node.poll()
    assert node.store.jobs_of(SERIES) == ()
    decision = node.store.decision_of(SERIES)
    assert decision is not None
    assert "requested by a work item" in decision


def test_no_patient_is_named_in_the_database_or_to_the_log(
    node: PerformingNode, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    node.claim()
    node.deliver(node.job())
    node.poll()
    printed = capsys.readouterr()
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("*.db*"))
    assert stored
    assert "ecret" not in printed.out + printed.err
    # In any case of letters; the schema itself has a column named totp_secret.
    assert b"secret^" not in stored.lower()
    assert b"secret-" not in stored.lower()
