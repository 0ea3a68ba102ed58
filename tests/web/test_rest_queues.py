"""REST routes of queues, metrics and health of pauses."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.domain.delivery import DeliveryState
from node.domain.job import Job, JobState
from tests.support.browser.overview_site import CONFIGURATION, PACS_ERROR, add_job
from tests.support.servers.served_node import ServedNode, running_worker, served_node

HIS = """
[destinations.his]
kind = "hl7"
host = "192.0.2.20"
port = 2575
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site"), CONFIGURATION + HIS) as served:
        yield served


@pytest.fixture
def job(node: ServedNode, request: pytest.FixtureRequest) -> Job:
    """A job whose delivery to the PACS was given up while that to the archive waits."""
    number = abs(hash(request.node.name)) % 1_000_000
    made = add_job(node, number, "CT1", datetime.now(UTC) - timedelta(minutes=9))
    node.store.park_delivery(made.job_id, "pacs", datetime.now(UTC), error=PACS_ERROR)
    return made


def post(node: ServedNode, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{node.url}/api/queues/{path}", json=body)


def state(node: ServedNode, job: Job, key: str) -> DeliveryState:
    found = node.store.get_delivery(job.job_id, key)
    assert found is not None
    return found.state


def test_what_waits_is_listed_by_destination(node: ServedNode, job: Job) -> None:
    queues = httpx.get(f"{node.url}/api/queues").json()
    by_name = {queue["destination"]: queue for queue in queues["destinations"]}
    assert list(by_name) == ["pacs", "archive", "his"]
    assert by_name["pacs"]["parked"] >= 1
    assert by_name["pacs"]["error"] == PACS_ERROR
    assert by_name["archive"]["waiting"] >= 1
    assert queues["inference"]["pause"] == {
        "paused": False,
        "paused_at": None,
        "by": None,
        "user": None,
        "reason": None,
    }
    query = {"destination": "pacs", "state": "parked"}
    listed = httpx.get(f"{node.url}/api/queues/deliveries", params=query).json()
    (one,) = [each for each in listed if each["job_id"] == job.job_id]
    assert (one["object"], one["state"], one["attempts"]) == ("seg", "parked", 1)
    assert one["series_instance_uid"] == job.series_instance_uid


def test_a_delivery_is_retried_redirected_and_discarded(node: ServedNode, job: Job) -> None:
    named = [{"job_id": job.job_id, "destination": "pacs"}]
    answer = post(node, "deliveries/retry", deliveries=named)
    assert (answer.status_code, answer.json()) == (200, {"changed": 1, "refused": []})
    assert state(node, job, "pacs") is DeliveryState.WAITING
    assert post(node, "deliveries/redirect", deliveries=named, to="archive").json()["changed"] == 1
    assert state(node, job, "pacs") is DeliveryState.DISCARDED
    again = post(node, "deliveries/discard", deliveries=named, reason="too late").json()
    assert again["changed"] == 0
    assert again["refused"][0]["reason"] == "it is discarded"
    details = [event.detail for event in node.store.history_of(job.job_id)]
    assert "pacs: to archive, by api (127.0.0.1)" in details


def test_all_deliveries_of_a_destination_are_discarded_by_state(node: ServedNode, job: Job) -> None:
    answer = post(
        node,
        "deliveries/discard",
        destination="archive",
        states=["waiting"],
        all=True,
        reason="the archive is closed",
    )
    assert answer.json()["changed"] >= 1
    assert state(node, job, "archive") is DeliveryState.DISCARDED
    assert state(node, job, "pacs") is DeliveryState.PARKED


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("deliveries/retry", {}, "give one of"),
        ("deliveries/retry", {"all": True, "states": ["delivered"]}, "states"),
        ("deliveries/retry", {"job_ids": ["unknown"]}, "no delivery that waits"),
        ("deliveries/discard", {"all": True}, "reason"),
        ("deliveries/discard", {"all": True, "reason": " "}, "needs a reason"),
        ("deliveries/redirect", {"all": True, "to": "nowhere"}, "it has: pacs, archive, his"),
        ("destinations/nowhere/pause", {}, "there is no destination 'nowhere'"),
    ],
)
def test_an_impossible_request_is_refused_with_the_reason(
    node: ServedNode, job: Job, path: str, body: dict[str, Any], message: str
) -> None:
    answer = post(node, path, **body)
    assert answer.status_code == 422
    assert message.replace("it has", "the configuration has") in answer.json()["message"]
    assert state(node, job, "archive") is DeliveryState.WAITING


def test_a_dicom_object_does_not_go_to_an_information_system(node: ServedNode, job: Job) -> None:
    named = [{"job_id": job.job_id, "destination": "pacs"}]
    refused = post(node, "deliveries/redirect", deliveries=named, to="his").json()["refused"]
    assert refused[0]["reason"] == "his does not take the object seg"
    node.store.add_deliveries(job.job_id, ["report@his"], datetime.now(UTC))
    report = [{"job_id": job.job_id, "destination": "his", "object": "report"}]
    refused = post(node, "deliveries/redirect", deliveries=report, to="archive").json()["refused"]
    assert refused[0]["reason"] == "archive does not take the report"
    assert state(node, job, "report@his") is DeliveryState.WAITING


def test_pauses_are_shown_by_health_and_metrics_without_degrading_the_node(
    node: ServedNode,
) -> None:
    for path in ("destinations/pacs/pause", "inference/pause"):
        for _ in range(2):
            answer = post(node, path, reason="an upgrade")
            assert answer.json()["paused"] is True
            assert (answer.json()["by"], answer.json()["reason"]) == ("api", "an upgrade")
    try:
        with running_worker(node):
            health = httpx.get(f"{node.url}/health").json()
        metrics = httpx.get(f"{node.url}/metrics").text
        overview = httpx.get(f"{node.url}/overview").text
    finally:
        for path in ("destinations/pacs/resume", "inference/resume"):
            assert httpx.post(f"{node.url}/api/queues/{path}").json()["paused"] is False
    assert (health["status"], health["inference"]) == ("ok", {"paused": True})
    assert health["destinations"]["pacs"]["paused"] is True
    assert health["destinations"]["archive"]["paused"] is False
    assert 'segnode_destination_paused{destination="pacs"} 1.0' in metrics
    assert "segnode_inference_paused 1.0" in metrics
    assert "The inference is paused" in overview
    assert "Reason: an upgrade" in overview


def test_a_job_that_waits_while_the_inference_is_paused_is_no_problem(
    node: ServedNode, job: Job
) -> None:
    old = datetime.now(UTC) - timedelta(days=1)
    queued = replace(job, job_id="queued", state=JobState.QUEUED, created_at=old, updated_at=old)
    assert node.store.add_job(queued)

    def kinds() -> set[str]:
        with running_worker(node):
            health = httpx.get(f"{node.url}/health").json()
        return {problem["kind"] for problem in health["problems"]}

    assert "queue-too-old" in kinds()
    post(node, "inference/pause")
    try:
        assert "queue-too-old" not in kinds()
        assert httpx.get(f"{node.url}/api/queues").json()["inference"]["queued"] == 1
    finally:
        post(node, "inference/resume")


def test_the_document_of_the_api_describes_the_routes(node: ServedNode) -> None:
    document = httpx.get(f"{node.url}/api/openapi.json").json()
    paths = [path for path in document["paths"] if path.startswith("/api/queues")]
    assert len(paths) == 9
    for path in paths:
        for operation in document["paths"][path].values():
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            assert "$ref" in schema or "$ref" in schema["items"]


def test_names_of_destinations_may_hold_any_character(tmp_path: Path) -> None:
    odd = '[destinations."a/b c@d"]\nkind = "folder"\npath = "odd"\n'
    with served_node(tmp_path, odd) as node:
        path = "destinations/a%2Fb%20c%40d/pause"
        assert httpx.post(f"{node.url}/api/queues/{path}").json()["paused"] is True
        assert "a/b c@d" in httpx.get(f"{node.url}/queues").text
        resumed = httpx.post(f"{node.url}/queues/{path.replace('pause', 'resume')}")
        assert resumed.status_code == 303
        assert node.store.pauses() == {}
