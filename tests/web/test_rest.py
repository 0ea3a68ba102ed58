"""REST API, health and the web process, as other systems use them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from node.demo.free_ports import free_ports
from node.domain.job import Job, JobState
from node.domain.series import SeriesState, StoredSeries
from node.routing.rule_matching import decide
from node.routing.series_facts import SeriesFacts
from node.runtime.locks import LockedProcess, hold_process_lock
from tests.support.dicom.body import grid
from tests.support.dicom.builders import MADE_AT, ct_series
from tests.support.factories import job_of, part_of_two
from tests.support.servers.served_node import ServedNode, running_worker, served_node
from tests.support.waiting import until

CONFIGURATION = """
[sources.orthanc]
url = "http://127.0.0.1:9/dicom-web"

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["archive"]
when = { attribute = "BodyPartExamined", equals = "LIVER" }
"""
RETRIEVAL = {"source": "orthanc", "study_instance_uid": "1.2", "series_instance_uid": "1.2.3"}
_EXIT_SUCCESS = 0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served:
        yield served


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    few = ct_series(geometry=grid(slices=3, rows=8, columns=8))
    return node.receive(few, tmp_path / "ct")


@pytest.fixture
def parked(node: ServedNode, series: StoredSeries) -> Job:
    job = node.add_job(series)
    reason = "the segmentation failed"
    return node.store.change_job(job.job_id, JobState.PARKED, MADE_AT, reason=reason)


def test_health_reports_each_part_and_the_count_of_each_state(
    node: ServedNode, parked: Job
) -> None:
    with running_worker(node):
        answer = httpx.get(f"{node.url}/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health["status"] == "ok"
    assert health["disk"]["free_mib"] > 0
    assert health["database"]["series"]["receiving"] == 1
    assert health["database"]["jobs"]["parked"] == 1
    assert health["database"]["jobs"]["delivered"] == 0


def test_health_is_503_while_no_worker_is_running(node: ServedNode) -> None:
    answer = httpx.get(f"{node.url}/health")
    assert answer.status_code == 503
    assert "worker is not running" in answer.json()["worker"]["message"]


def test_health_is_503_after_the_listener_has_stopped(node: ServedNode) -> None:
    data_dir = node.settings.data_dir
    with running_worker(node):
        with hold_process_lock(LockedProcess.LISTENER, data_dir):
            assert httpx.get(f"{node.url}/health").status_code == 200
        answer = httpx.get(f"{node.url}/health")
    assert answer.status_code == 503
    assert "listener is not running" in answer.json()["listener"]["message"]


def test_health_is_503_and_nothing_is_stored_when_free_space_is_too_low(tmp_path: Path) -> None:
    with served_node(tmp_path, "least_free_gib = 1_000_000\n") as node, running_worker(node):
        health = httpx.get(f"{node.url}/health")
        assert health.status_code == 503
        assert "Nothing more is received" in health.json()["disk"]["message"]
        answer = httpx.post(f"{node.dicomweb_url}/studies", content=b"any")
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


def test_health_is_503_and_names_the_unhealthy_part(node: ServedNode) -> None:
    database = node.settings.data_dir / "segnode.db"
    node.store.close()
    for file in database.parent.glob("segnode.db*"):
        file.unlink()
    database.mkdir()

    answer = httpx.get(f"{node.url}/health")

    assert answer.status_code == 503
    assert not answer.json()["database"]["ok"]
    assert answer.json()["database"]["message"]
    assert answer.json()["disk"]["ok"]
    other = httpx.get(f"{node.url}/api/series")
    assert other.status_code == 503
    assert "retry-after" in other.headers


def test_series_and_jobs_are_listed_without_file_paths(
    node: ServedNode, parked: Job, series: StoredSeries
) -> None:
    (listed,) = httpx.get(f"{node.url}/api/series").json()
    assert listed["series_instance_uid"] == series.series_instance_uid
    assert listed["instance_count"] == 3
    assert listed["jobs"][0]["job_id"] == parked.job_id
    (job,) = httpx.get(f"{node.url}/api/jobs").json()
    assert (job["state"], job["reason"]) == ("parked", "the segmentation failed")
    assert not {"result_path", "picture_path"} & set(job)
    one = httpx.get(f"{node.url}/api/jobs/{parked.job_id}").json()
    assert one["deliveries"] == []
    assert httpx.get(f"{node.url}/api/jobs?limit=0").status_code == 422


def test_a_job_says_which_part_of_its_series_it_is_about(
    node: ServedNode, series: StoredSeries
) -> None:
    uid, now = series.series_instance_uid, MADE_AT
    jobs = [
        replace(job_of(uid, job_id=f"part{number}"), part=part_of_two(number)) for number in (1, 2)
    ]
    facts = SeriesFacts({"BodyPartExamined": ("LIVER",)}, 3, "CT1")
    decision = decide(node.settings.rules, facts)
    decided = replace(decision, parts=("acquisition 1", "acquisition 2")).to_json()
    store = node.store
    store.record_decision(uid, decided, SeriesState.ACCEPTED, now, seen_count=3, jobs=jobs)
    store.change_job("part2", JobState.RUNNING, now)
    store.change_job("part2", JobState.REFUSED, now, reason="Slices are missing.")
    (listed,) = httpx.get(f"{node.url}/api/series").json()
    titles = {job["job_id"]: job["part"]["title"] for job in listed["jobs"]}
    assert titles == {"part1": "acquisition 1", "part2": "acquisition 2"}
    assert listed["outcome"] == "queued"
    one = httpx.get(f"{node.url}/api/jobs/part2").json()
    assert (one["part"]["value"], one["part"]["count"], one["rules"]) == ("2", 2, ["liver"])
    explained = httpx.get(f"{node.url}/api/series/{uid}/explain").json()
    assert "2 parts, each with a job of its own: acquisition 1" in explained["text"]
    assert explained["decision"]["parts"] == ["acquisition 1", "acquisition 2"]


def test_the_picture_of_a_finished_job_is_its_overlay(node: ServedNode, tmp_path: Path) -> None:
    waiting = node.add_job(node.receive(ct_series(), tmp_path / "whole"))
    url = f"{node.url}/api/jobs/{waiting.job_id}/picture.png"
    assert httpx.get(url).status_code == 404
    node.finish_job(waiting)
    answer = httpx.get(url)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


def test_explain_shows_the_failed_condition_and_the_actual_value(
    node: ServedNode, series: StoredSeries
) -> None:
    uid = series.series_instance_uid
    url = f"{node.url}/api/series/{uid}/explain"
    assert httpx.get(url).json()["decided"] is False
    facts = SeriesFacts({"BodyPartExamined": ("KNEE",)}, 3, "CT1")
    decision = decide(node.settings.rules, facts)
    node.store.record_decision(uid, decision.to_json(), SeriesState.IGNORED, MADE_AT, seen_count=3)
    explanation = httpx.get(url).json()
    assert explanation["decided"] is True
    assert explanation["rules"] == []
    assert "KNEE" in explanation["text"]
    assert httpx.get(f"{node.url}/api/series/1.2.3/explain").status_code == 404


def test_a_start_can_be_requested_for_a_known_series(
    node: ServedNode, series: StoredSeries
) -> None:
    uid = series.series_instance_uid
    answer = httpx.post(f"{node.url}/api/series/{uid}/start")
    assert answer.status_code == 202
    assert node.series(uid).start_requested
    unknown = httpx.post(f"{node.url}/api/series/1.2.3/start")
    assert unknown.status_code == 404
    assert "1.2.3" in unknown.json()["message"]


def test_only_a_parked_job_can_be_retried(node: ServedNode, parked: Job) -> None:
    url = f"{node.url}/api/jobs/{parked.job_id}/retry"
    answer = httpx.post(url)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    again = httpx.post(url)
    assert again.status_code == 409
    assert "is queued; only a parked job can be retried" in again.json()["message"]
    assert httpx.post(f"{node.url}/api/jobs/unknown/retry").status_code == 404


def test_only_a_parked_job_can_be_discarded(node: ServedNode, parked: Job) -> None:
    url = f"{node.url}/api/jobs/{parked.job_id}/discard"
    why = {"reason": "repeated scan", "by": "Dr. Roe"}
    assert httpx.post(url, json=why).json()["state"] == "discarded"
    again = httpx.post(url, json=why)
    assert again.status_code == 409
    assert "is discarded" in again.json()["message"]
    assert httpx.post(f"{node.url}/api/jobs/unknown/discard", json=why).status_code == 404
    assert httpx.post(f"{node.url}/api/jobs/{parked.job_id}/retry").status_code == 409
    page = httpx.get(f"{node.url}/series/{parked.series_instance_uid}").text
    assert "Discarded" in page
    assert "Discarded by Dr. Roe (127.0.0.1): repeated scan" in page


@pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": "x" * 501}, {"why": "x"}])
def test_a_job_is_not_discarded_without_a_reason(
    node: ServedNode, parked: Job, body: dict[str, str]
) -> None:
    answer = httpx.post(f"{node.url}/api/jobs/{parked.job_id}/discard", json=body)
    assert answer.status_code in {400, 422}
    assert "reason" in answer.json()["message"]
    form = httpx.post(f"{node.url}/jobs/{parked.job_id}/discard", data={"reason": " "})
    assert (form.status_code, "The reason is missing" in form.text) == (400, True)
    unchanged = node.store.get_job(parked.job_id)
    assert unchanged is not None
    assert unchanged.state is JobState.PARKED


def test_a_form_longer_than_any_is_refused(node: ServedNode, parked: Job) -> None:
    long = {"reason": "x" * 100_000}
    answer = httpx.post(f"{node.url}/jobs/{parked.job_id}/discard", data=long)
    assert answer.status_code == 413


def test_an_ended_job_can_be_run_again(node: ServedNode, parked: Job) -> None:
    httpx.post(f"{node.url}/api/jobs/{parked.job_id}/discard", json={"reason": "a mistake"})
    page = httpx.get(f"{node.url}/series/{parked.series_instance_uid}").text
    assert "Run again" in page
    url = f"{node.url}/api/jobs/{parked.job_id}/rerun"
    answer = httpx.post(url)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    again = httpx.post(url)
    assert again.status_code == 409
    assert "is queued; only a job that has ended" in again.json()["message"]
    assert httpx.post(f"{node.url}/api/jobs/unknown/rerun").status_code == 404


def test_a_repeated_retrieval_request_returns_the_same_retrieval(node: ServedNode) -> None:
    first = httpx.post(f"{node.url}/api/retrieve", json=RETRIEVAL)
    assert first.status_code == 202
    number = first.json()["retrieval"]
    assert httpx.post(f"{node.url}/api/retrieve", json=RETRIEVAL).json() == {"retrieval": number}
    (open_one,) = node.store.open_retrievals()
    assert (open_one.source, open_one.series_instance_uid) == ("orthanc", "1.2.3")
    state = httpx.get(f"{node.url}/api/retrievals/{number}").json()
    assert state["finished_at"] is None


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        # A later configuration may have the source: the Orthanc hook tries again after a 404.
        ({**RETRIEVAL, "source": "orhtanc"}, 404, "(did you mean 'orthanc'?)"),
        ({**RETRIEVAL, "series_instance_uid": "../x"}, 400, "not a valid DICOM UID"),
        ({"source": "orthanc"}, 422, "study_instance_uid"),
    ],
)
def test_an_invalid_retrieval_request_is_refused_with_the_reason(
    node: ServedNode, body: dict[str, str], status: int, message: str
) -> None:
    answer = httpx.post(f"{node.url}/api/retrieve", json=body)
    assert answer.status_code == status
    assert message in answer.json()["message"]
    assert node.store.open_retrievals() == []


def test_an_unknown_retrieval_number_is_not_found(node: ServedNode) -> None:
    for number in ("7", "99999999999999999999"):
        assert httpx.get(f"{node.url}/api/retrievals/{number}").status_code in {404, 422}


def test_an_error_is_json_for_programs_and_a_page_for_people(node: ServedNode) -> None:
    program = httpx.get(f"{node.url}/api/jobs/unknown")
    assert program.json()["message"] == "there is no job unknown"
    person = httpx.get(f"{node.url}/series/1.2.3")
    assert person.status_code == 404
    assert "<h1>" in person.text
    assert "1.2.3" in person.text


def test_the_process_serves_until_sigterm_without_importing_torch(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = tmp_path / "segnode.toml"
    config.write_text(f'data_dir = "data"\n[web]\nport = {port}\n')
    spy = (
        "import sys; from node.processes.web import main; status = main(sys.argv[1:]);"
        "sys.exit(99 if 'torch' in sys.modules else status)"
    )
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", spy, "--config", str(config)]
        process = subprocess.Popen(command, stderr=log)
    try:
        until(lambda: "web.ready" in (tmp_path / "log").read_text(), 120, "the server")
        assert httpx.get(f"http://127.0.0.1:{port}/login").headers["Location"] == "/set-up"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == _EXIT_SUCCESS
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_is_reported_as_a_configuration_error(tmp_path: Path) -> None:
    with served_node(tmp_path) as served:
        port = served.url.rpartition(":")[2]
        config = tmp_path / "second.toml"
        config.write_text(f'data_dir = "data"\n[web]\nport = {port}\n')
        command = [sys.executable, "-m", "node.processes.web", "--config", str(config)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
