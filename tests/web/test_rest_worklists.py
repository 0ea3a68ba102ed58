"""REST routes of worklists and work items."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code
from node.domain.worklists.work_item import WorkItemState
from tests.support.factories import LATER, NOON
from tests.support.servers.served_node import ServedNode, served_node

CONFIGURATION = """
[destinations.web]
kind = "dicomweb"
url = "http://pacs/dicom-web"

[worklists.hospital]
url = "http://workflow/dicom-web"
tasks = [{ code = "LIVER", scheme = "99HOSP", rule = "liver" }]

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["web"]
when = { attribute = "Modality", equals = "CT" }
"""
WORK_ITEM = "/api/worklists/hospital/work-items/1.9"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served:
        code = Code("LIVER", "99HOSP", "Liver")
        served.store.add_work_item(
            "hospital", Uid("1.9"), NOON, transaction_uid=Uid("2.25.4"), rule="liver", code=code
        )
        yield served


def test_worklists_are_listed_with_their_failures(node: ServedNode) -> None:
    node.store.record_worklist_failure("hospital", "it does not answer", NOON)
    (listed,) = httpx.get(f"{node.url}/api/worklists").json()
    assert (listed["name"], listed["error"]) == ("hospital", "it does not answer")
    assert listed["failing_since"].startswith("2026-01-02T12:00:00")


def test_work_items_are_listed_and_shown_without_their_key(node: ServedNode) -> None:
    answer = httpx.get(f"{node.url}/api/worklists/work-items")
    (listed,) = answer.json()
    assert (listed["work_item_uid"], listed["state"]) == ("1.9", "claiming")
    assert listed["code"]["value"] == "LIVER"
    shown = httpx.get(f"{node.url}{WORK_ITEM}")
    assert shown.json()["report"] is None
    assert "2.25.4" not in answer.text + shown.text


def test_an_unknown_work_item_is_not_found(node: ServedNode) -> None:
    for path in ("/api/worklists/hospital/work-items/1.8", "/api/worklists/other/work-items/1.9"):
        answer = httpx.get(f"{node.url}{path}")
        assert answer.status_code == 404
        assert "has no work item" in answer.json()["message"]


def test_an_open_work_item_can_be_canceled(node: ServedNode) -> None:
    answer = httpx.post(f"{node.url}{WORK_ITEM}/cancel")
    assert answer.status_code == 202
    assert answer.json()["cancel_requested_at"]
    item = node.store.get_work_item("hospital", "1.9")
    assert item is not None
    assert item.cancel_requested_at is not None
    node.store.change_work_item(item, WorkItemState.WITHDRAWN, LATER, reason="x")
    answer = httpx.post(f"{node.url}{WORK_ITEM}/cancel")
    assert answer.status_code == 409
    assert "has ended: it is withdrawn" in answer.json()["message"]
