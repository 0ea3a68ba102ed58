"""A PACS that stops is seen within a minute: on the overview, by health, and by a webhook."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.job import JobState
from node.processes.role_process import Role
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.servers.http_receiver import HttpReceiver, http_receiver
from tests.support.waiting import until

SEEN_S = 60.0
RESULT_S = 240.0
TEXT = "The destination pacs does not take results"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def node(tmp_path: Path, receiver: HttpReceiver) -> Iterator[RunningNode]:
    """A complete node with a webhook, and an Orthanc as its PACS."""
    if missing := orthanc_missing():
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path / "orthanc")
    pacs.start()
    made = RunningNode(tmp_path / "node", pacs, roles=tuple(Role))
    alerts = f'\n[alerts.webhook]\nurl = "{receiver.url}"\n'
    made.config_file.write_text(made.config_file.read_text() + alerts)
    made.start()
    yield made
    made.close()
    pacs.kill()


def test_a_pacs_that_stops_and_returns_is_reported_once_each(
    node: RunningNode, receiver: HttpReceiver, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{node.web_port}"
    assert httpx.get(f"{url}/health").json()["status"] == "ok"
    node.orthanc.kill()
    node.send(small_abdomen(tmp_path / "ct", seed=5))
    until(lambda: "pacs" in node.store.destination_health(), RESULT_S, "a delivery")
    until(lambda: node.store.destination_health()["pacs"].failures, RESULT_S, "a failed delivery")

    until(lambda: receiver.posted, SEEN_S, "the alert")
    assert httpx.get(f"{url}/health").json()["status"] == "degraded"
    assert httpx.get(f"{url}/health/ready").status_code == 200
    assert TEXT in httpx.get(f"{url}/overview").text
    assert TEXT in httpx.get(url).text

    # A restart of the node repeats nothing.
    node.kill()
    node.start()
    node.orthanc.start()
    until(lambda: len(receiver.posted) > 1, SEEN_S, "the end of the alert")
    started, ended = (posted.content for posted in receiver.posted)
    assert (started["event"], ended["event"]) == ("started", "ended")
    assert {content["subject"] for content in (started, ended)} == {"pacs"}
    until(lambda: node.store.count_jobs()[JobState.DELIVERED] == 1, SEEN_S, "the delivery")
    assert httpx.get(f"{url}/health").json()["status"] == "ok"
    assert TEXT not in httpx.get(f"{url}/overview").text.split("Latest alerts")[0]
    assert node.log().count('"destination.failing"') == 1
    assert node.log().count('"destination.recovered"') == 1
