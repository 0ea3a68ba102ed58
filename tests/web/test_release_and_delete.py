"""Release of a held result, and deletion of a series, by console and REST API."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import httpx
import pytest

from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.domain.job import HELD, Job, JobState
from node.domain.series import Deletion, SeriesState, StoredSeries
from node.web.dependencies import utc_now
from tests.support.audit_records import audit_records
from tests.support.dicom.body import grid
from tests.support.dicom.builders import MADE_AT, ct_series
from tests.support.factories import job_of
from tests.support.servers.served_node import ServedNode, served_node

REASON = {"reason": "request of 2026-11-27"}
NUMBERS = count(1)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site"), "") as served:
        yield served


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A series that no rule matches."""
    few = ct_series(geometry=grid(slices=3, rows=8, columns=8), seed=f"deleted {next(NUMBERS)}")
    found = node.receive(few, tmp_path / "ct")
    uid, count = found.series_instance_uid, found.instance_count
    assert node.store.record_decision(uid, '{"matches": []}', SeriesState.IGNORED, MADE_AT, count)
    return found


def held_job(node: ServedNode, series: StoredSeries) -> Job:
    job = job_of(series.series_instance_uid, job_id=f"held{next(NUMBERS)}")
    assert node.store.add_job(job)
    node.store.change_job(job.job_id, JobState.RUNNING, MADE_AT)
    return node.store.change_job(
        job.job_id,
        JobState.PARKED,
        MADE_AT,
        reason=f"{HELD}the liver is cut",
        result_path=node.settings.data_dir / "results" / job.job_id / "seg.dcm",
    )


def state_of(node: ServedNode, job: Job) -> JobState:
    found = node.store.get_job(job.job_id)
    assert found is not None
    return found.state


def images(node: ServedNode, uid: Uid) -> int:
    return sum(node.store.files.exists(each.path) for each in node.store.instances_of(uid))


def discarded(node: ServedNode, job: Job) -> None:
    answer = httpx.post(f"{node.url}/api/jobs/{job.job_id}/discard", json={"reason": "a test"})
    assert answer.status_code == 200


def test_a_held_result_is_released_by_rest_once(node: ServedNode, series: StoredSeries) -> None:
    job = held_job(node, series)
    url = f"{node.url}/api/jobs/{job.job_id}/release"
    answer = httpx.post(url)
    assert (answer.status_code, answer.json()["job_id"]) == (202, job.job_id)
    assert state_of(node, job) is not JobState.PARKED
    again = httpx.post(url)
    assert again.status_code == 409
    assert "is already released" in again.json()["message"]
    assert httpx.post(f"{node.url}/api/jobs/unknown/release").status_code == 404
    newest = audit_records(node.store)[2]
    assert (newest.action, newest.outcome) == ("work changed", "success")
    assert newest.detail == "POST /api/jobs/{job_id}/release"
    assert newest.objects == (("job", job.job_id),)


def test_a_job_that_is_not_held_is_not_released(node: ServedNode, series: StoredSeries) -> None:
    failed = job_of(series.series_instance_uid, job_id="failed")
    assert node.store.add_job(failed)
    node.store.change_job("failed", JobState.PARKED, MADE_AT, reason="the disk is full")
    answer = httpx.post(f"{node.url}/api/jobs/failed/release")
    assert answer.status_code == 409
    assert answer.json()["message"] == "job failed is parked and not held for a person"
    assert state_of(node, failed) is JobState.PARKED


def test_the_button_of_the_console_releases(node: ServedNode, series: StoredSeries) -> None:
    job = held_job(node, series)
    page = httpx.get(f"{node.url}/series/{series.series_instance_uid}").text
    assert f'action="/jobs/{job.job_id}/release"' in page
    assert f'action="/jobs/{job.job_id}/retry"' not in page
    assert httpx.post(f"{node.url}/jobs/{job.job_id}/release").status_code == 303
    assert state_of(node, job) is not JobState.PARKED


@pytest.mark.parametrize("by_rest", [True, False], ids=["REST", "console"])
def test_a_finished_series_is_deleted_for_a_reason(
    node: ServedNode, series: StoredSeries, by_rest: bool
) -> None:
    uid = series.series_instance_uid
    page = f"{node.url}/series/{uid}"
    assert 'id="delete-series"' in httpx.get(page).text
    paths = [each.path for each in node.store.instances_of(uid)]
    assert images(node, uid) == 3
    if by_rest:
        answer = httpx.post(f"{node.url}/api/series/{uid}/delete", json=REASON)
        assert (answer.status_code, answer.json()) == (200, {"deleted": uid})
    else:
        answer = httpx.post(f"{page}/delete", data=REASON)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/series/{uid}")
    assert not any(node.store.files.exists(path) for path in paths)
    interface = "api" if by_rest else "console"
    text = f"3 instances, by {interface} (127.0.0.1): {REASON['reason']}"
    assert node.store.history_of(uid)[-1].detail == text
    record = next(each for each in audit_records(node.store) if each.action == "deleted")
    assert (record.interface, record.address, record.detail) == (interface, "127.0.0.1", text)
    assert record.objects == (("series", uid),)
    shown = httpx.get(page).text
    assert "Images and results deleted by a person" in shown
    assert 'id="delete-series"' not in shown


def test_a_series_with_open_work_is_not_deleted(node: ServedNode, series: StoredSeries) -> None:
    uid = series.series_instance_uid
    job = held_job(node, series)
    url = f"{node.url}/api/series/{uid}/delete"
    answer = httpx.post(url, json=REASON)
    assert answer.status_code == 409
    assert answer.json()["message"] == (
        f"series {uid} is not deleted, because it is not finished: wait for its decision and for "
        "its jobs, or discard the jobs that have stopped"
    )
    assert images(node, uid) == 3
    assert 'id="delete-series"' not in httpx.get(f"{node.url}/series/{uid}").text
    discarded(node, job)


def test_a_series_that_waits_for_images_is_listed_and_deleted(
    node: ServedNode, tmp_path: Path
) -> None:
    few = ct_series(geometry=grid(slices=3, rows=8, columns=8), seed=f"deleted {next(NUMBERS)}")
    uid = node.receive(few, tmp_path / "ct").series_instance_uid
    page = f"{node.url}/series/{uid}"
    assert 'id="delete-series"' not in httpx.get(page).text  # its images are arriving
    node.store.record_refused_images([RefusedImage(uid, Uid("1.9"), "the disk is full", MADE_AT)])
    (listed,) = httpx.get(f"{node.url}/api/series", params={"state": "attention", "q": uid}).json()
    missing = "One image of this series was refused and is missing (the disk is full)."
    assert listed["reason"].startswith(missing)
    assert httpx.get(f"{node.url}/api/series/{uid}").json() == listed
    assert httpx.get(f"{node.url}/api/series/1.2.3").status_code == 404
    assert uid in httpx.get(f"{node.url}/?show=attention").text
    assert 'id="delete-series"' in httpx.get(page).text

    arriving = httpx.post(f"{node.url}/api/series/{uid}/delete", json=REASON)
    assert (arriving.status_code, images(node, uid)) == (409, 3)
    assert "its images are arriving" in arriving.json()["message"]
    later = utc_now() + timedelta(minutes=2)
    person = AuditActor("ada", AuditInterface.CONSOLE)
    assert node.store.delete_series(uid, later, by=person, reason="a test") is Deletion.DELETED
    assert "A person deleted its images before a rule matched them." in httpx.get(page).text
    again = httpx.post(f"{node.url}/api/series/{uid}/delete", json=REASON)
    assert again.status_code == 409
    assert "it has no images on this node" in again.json()["message"]


def test_a_job_does_not_run_again_without_its_images(
    node: ServedNode, series: StoredSeries
) -> None:
    job = held_job(node, series)
    discarded(node, job)
    page = f"{node.url}/series/{series.series_instance_uid}"
    assert f'action="/jobs/{job.job_id}/rerun"' in httpx.get(page).text
    assert httpx.post(f"{page}/delete", data=REASON).status_code == 303
    assert f'action="/jobs/{job.job_id}/rerun"' not in httpx.get(page).text


@pytest.mark.parametrize("reason", ["", " ", "\0", "x" * 501])
def test_nothing_is_deleted_without_a_reason_that_can_be_stored(
    node: ServedNode, series: StoredSeries, reason: str
) -> None:
    uid = series.series_instance_uid
    answer = httpx.post(f"{node.url}/api/series/{uid}/delete", json={"reason": reason})
    assert answer.status_code in {400, 422}
    assert answer.json()["error"] == "invalid-request"
    form = httpx.post(f"{node.url}/series/{uid}/delete", data={"reason": reason})
    assert form.status_code == 400
    assert "State why the series is deleted, in at most 500 characters" in form.text
    assert images(node, uid) == 3


def test_an_unknown_series_is_not_deleted(node: ServedNode) -> None:
    answer = httpx.post(f"{node.url}/api/series/1.2.3/delete", json=REASON)
    assert (answer.status_code, "no series 1.2.3" in answer.json()["message"]) == (404, True)
