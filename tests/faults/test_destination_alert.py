"""A PACS that stops is seen within a minute: on the overview, by health, and by a webhook.

DICOM, HTTP and the webhook use TLS; the node needs a login.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.job import JobState
from node.processes.role_process import Role
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.servers.http_receiver import HttpReceiver, http_receiver
from tests.support.waiting import until

SEEN_S = 60.0
RESULT_S = 240.0
TEXT = "The destination pacs does not take results"


@pytest.fixture
def receiver(tls: TlsSite | None) -> Iterator[HttpReceiver]:
    with http_receiver(None if tls is None else tls.https_context()) as made:
        yield made


@pytest.fixture
def node(
    tmp_path: Path, pacs: OrthancPacs, receiver: HttpReceiver, tls: TlsSite | None
) -> Iterator[RunningNode]:
    """A complete node with a webhook, and an Orthanc as its PACS."""
    pacs.start()
    made = RunningNode(tmp_path / "node", pacs, roles=tuple(Role), tls=tls)
    alerts = f'\n[alerts.webhook]\nurl = "{receiver.url}"\n'
    alerts += "" if tls is None else f'ca_file = "{tls.authority.file}"\n'
    made.config_file.write_text(made.config_file.read_text() + alerts)
    made.start()
    yield made
    made.close()


@pytest.fixture
def program(node: RunningNode) -> Iterator[httpx.Client]:
    """A program that watches the node."""
    with node.program() as made:
        yield made


def test_a_pacs_that_stops_and_returns_is_reported_once_each(
    node: RunningNode, program: httpx.Client, receiver: HttpReceiver, tmp_path: Path
) -> None:
    assert program.get("/health").json()["status"] == "ok"
    node.orthanc.kill()
    node.send(small_abdomen(tmp_path / "ct", seed=5))
    until(lambda: "pacs" in node.store.destination_health(), RESULT_S, "a delivery")
    until(lambda: node.store.destination_health()["pacs"].failures, RESULT_S, "a failed delivery")

    until(lambda: receiver.posted, SEEN_S, "the alert")
    assert program.get("/health").json()["status"] == "degraded"
    assert program.get("/health/ready").status_code == 200
    assert TEXT in program.get("/overview").text
    assert TEXT in program.get("/").text

    # A restart of the node repeats nothing.
    node.kill()
    node.start()
    node.orthanc.start()
    until(lambda: len(receiver.posted) > 1, SEEN_S, "the end of the alert")
    started, ended = (posted.content for posted in receiver.posted)
    assert (started["event"], ended["event"]) == ("started", "ended")
    assert {content["subject"] for content in (started, ended)} == {"pacs"}
    until(lambda: node.store.count_jobs()[JobState.DELIVERED] == 1, SEEN_S, "the delivery")
    assert program.get("/health").json()["status"] == "ok"
    assert TEXT not in program.get("/overview").text.split("Latest alerts")[0]
    assert node.log().count('"destination.failing"') == 1
    assert node.log().count('"destination.recovered"') == 1
