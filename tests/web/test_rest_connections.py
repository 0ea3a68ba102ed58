"""REST of connections: list, test, add, change, remove, and what the listener has rejected."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectionKey,
    RejectionTally,
)
from tests.support.servers.configurable_node import ConfigurableNode, configurable_node
from tests.support.servers.served_node import served_node

TEXT = '[peers.ct1]\nae_title = "CT1"\nhost = "192.0.2.21"\nport = 104\n'
FOLDER = {"kind": "folder", "path": "results"}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ConfigurableNode]:
    with configurable_node(tmp_path, TEXT) as served:
        yield served


def put(node: ConfigurableNode, path: str, **body: Any) -> httpx.Response:
    return httpx.put(f"{node.url}/api/{path}", json=body)


def listed(url: str) -> dict[str, Any]:
    found = httpx.get(f"{url}/api/connections").json()
    return {f"{one['table']}.{one['name']}": one["settings"] for one in found}


def test_a_connection_is_added_changed_and_removed(node: ConfigurableNode) -> None:
    answer = put(
        node, "connections/peers/pacs", settings={"ae_title": "PACS", "host": "h", "port": 4}
    )
    assert answer.json() == {"revision": 2}
    changed = put(
        node,
        "connections/peers/pacs",
        settings={"port": 5, "retrieve": "move"},
        author="Ada",
        reason="new port",
    )
    assert changed.json() == {"revision": 3}
    pacs = {"ae_title": "PACS", "host": "h", "port": 5, "retrieve": "move"}
    shown = listed(node.url)["peers.pacs"]
    assert {key: shown[key] for key in pacs} == pacs
    assert node.store.list_revisions(1)[0].author == "Ada (127.0.0.1)"
    removed = httpx.delete(f"{node.url}/api/connections/peers/pacs")
    assert removed.json() == {"revision": 4}
    assert node.text == TEXT
    assert httpx.delete(f"{node.url}/api/connections/peers/pacs").status_code == 404


def test_mistakes_are_those_of_check_and_change_nothing(node: ConfigurableNode) -> None:
    answer = put(node, "connections/peers/ct1", settings={"port": "many", "hots": "h"})
    assert answer.status_code == 422
    message = answer.json()["message"]
    assert "peers.ct1.port: must be a whole number" in message
    assert "peers.ct1.hots: unknown setting (did you mean 'host'?)" in message
    assert node.store.active_revision_number() == 1


def test_a_connection_without_settings_is_refused(node: ConfigurableNode) -> None:
    answer = put(node, "connections/peers/empty", settings={})
    assert answer.status_code == 422
    assert "peers.empty.ae_title" in answer.json()["message"]
    assert node.store.active_revision_number() == 1


def test_a_name_with_other_characters_is_refused(node: ConfigurableNode) -> None:
    assert put(node, "connections/peers/a%20b", settings={"port": 1}).status_code == 422


def test_the_first_destination_keeps_the_default_rule(node: ConfigurableNode) -> None:
    assert put(node, "connections/destinations/results", settings=FOLDER).status_code == 200
    settings = node.configuration.check(node.text)
    (rule,) = settings.rules
    assert (rule.model, rule.destinations) == ("liver-ct", ("results",))
    removed = httpx.delete(f"{node.url}/api/connections/destinations/results")
    assert removed.status_code == 409
    assert removed.json()["message"] == "the rule 'liver' uses it"


def test_a_change_of_an_older_revision_is_refused(node: ConfigurableNode) -> None:
    settings = {"port": 105}
    assert put(node, "connections/peers/ct1", settings=settings, base=1).status_code == 200
    answer = put(node, "connections/peers/ct1", settings={"port": 106}, base=1)
    assert answer.status_code == 409


def test_the_address_of_the_node_is_set(node: ConfigurableNode) -> None:
    assert put(node, "listener", ae_title="LIVER").status_code == 200
    assert put(node, "listener", port=11113).status_code == 200
    assert node.text.endswith('[listener]\nae_title = "LIVER"\nport = 11113\n')


def test_a_test_names_fault_and_remedy(node: ConfigurableNode) -> None:
    put(node, "connections/destinations/results", settings=FOLDER)
    url = f"{node.url}/api/connections/destinations/test"
    report = httpx.post(f"{url}/results").json()
    assert report["passed"]
    (step,) = report["steps"]
    assert step["fault"] is None
    put(node, "connections/destinations/results", settings={"path": "/proc/results"})
    step = httpx.post(f"{url}/results").json()["steps"][0]
    assert step["fault"] == "not-writable"
    assert step["remedy"]
    assert httpx.post(f"{url}/other").status_code == 404
    assert httpx.post(f"{node.url}/api/connections/others/test/x").status_code == 422


def test_rejected_connections_come_with_their_remedy(node: ConfigurableNode) -> None:
    now = datetime.now(UTC)
    key = RejectionKey("CT2", "SEGNODE", "192.0.2.22", ListenerRejection.CALLING_AE_TITLE)
    node.store.record_rejections({key: RejectionTally(4, now, now)}, now)
    (found,) = httpx.get(f"{node.url}/api/connections/rejected").json()
    assert (found["calling_ae_title"], found["count"]) == ("CT2", 4)
    assert found["can_be_accepted"]
    assert "add a peer" in found["remedy"]


def test_a_configuration_in_a_file_is_read_only(tmp_path: Path) -> None:
    with served_node(tmp_path, TEXT) as node:
        assert set(listed(node.url)) == {"peers.ct1", "destinations.archive"}
        answers = [
            httpx.put(f"{node.url}/api/connections/peers/ct1", json={"settings": {"port": 5}}),
            httpx.delete(f"{node.url}/api/connections/peers/ct1"),
            httpx.put(f"{node.url}/api/listener", json={"port": 5}),
        ]
    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert "segnode reload" in answers[0].json()["message"]
