"""A server of work items that fails, and a node that dies: every work item still ends once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from node.domain.errors import RejectionReason
from node.domain.job import JobState
from node.domain.retry_policy import RetryPolicy
from node.domain.worklists.work_item import WorkItemState
from node.worklists.ups_client import UpsServer
from tests.support.servers.performing_node import SERIES, PerformingNode, performing_node
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.servers.ups_worklist import Received


class Killed(BaseException):
    """Ends the node in the middle of a step; nothing catches it."""


@contextmanager
def killed_at(name: str, moment: str) -> Iterator[list[str]]:
    """Kills the node at its first request `name`: before it is sent, or before its answer arrives.

    The yielded list holds the name once that has happened.
    """
    real = UpsServer._request
    killed: list[str] = []

    def request(self: UpsServer, method: str, path: str, **options: Any) -> requests.Response:
        is_here = Received(method, f"/dicom-web{path}", {}, options.get("body")).name == name
        if is_here and not killed and moment == "before":
            killed.append(name)
            raise Killed
        answer = real(self, method, path, **options)
        if is_here and not killed:
            killed.append(name)
            raise Killed
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UpsServer, "_request", request)
        yield killed


def test_an_outage_is_visible_and_logged_at_its_start_and_end(
    node: PerformingNode, ups: UpsOriginServer, capsys: pytest.CaptureFixture[str]
) -> None:
    node.poll()
    assert node.store.worklist_status("hospital").answered_at == node.time
    ups.is_down = True
    start = node.time = node.time + timedelta(minutes=1)
    node.poll()
    node.time += timedelta(minutes=1)
    node.poll()
    status = node.store.worklist_status("hospital")
    assert status.failing_since == start
    assert status.error == f"{ups.url} does not answer (ConnectionError)"
    ups.is_down = False
    node.poll()
    status = node.store.worklist_status("hospital")
    assert (status.answered_at, status.failing_since, status.error) == (node.time, None, "")
    printed = capsys.readouterr().out
    assert printed.count("worklist.failed") == 1
    assert printed.count("worklist.answers_again") == 1


def test_a_search_that_fails_is_tried_again_later_and_later(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    clock_s = [0.0]
    search = node.worklist.search
    search.clock = lambda: clock_s[0]
    search.policy = RetryPolicy(4.0, 64.0, timedelta(hours=1))
    ups.is_down = True
    times = []
    for second in range(60):
        clock_s[0] = float(second)
        failures = search._failures
        search.poll()
        if search._failures > failures:
            times.append(second)
    assert times == [0, 3, 9, 21, 45]


def test_an_outage_between_claim_and_end_delays_the_work_item_only(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    ups.is_down = True
    node.deliver(node.job())
    node.poll()
    assert node.state(uid) is WorkItemState.COMPLETING
    assert "does not answer" in node.item(uid).error
    ups.is_down = False
    node.poll()
    assert (ups.state(uid), node.state(uid)) == ("COMPLETED", WorkItemState.COMPLETED)
    assert node.item(uid).error == ""


def test_a_work_item_that_is_not_performed_in_time_is_canceled(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    node.time += timedelta(hours=25)
    node.poll()
    assert ups.state(uid) == "CANCELED"
    (code,) = ups.progress(uid).ProcedureStepDiscontinuationReasonCodeSequence
    assert code.CodeValue == "110501"
    assert node.item(uid).reason == "not performed within 24 hours: waiting for the model"


def test_a_work_item_whose_end_cannot_be_reported_is_given_up(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    node.deliver(node.job())
    ups.is_down = True
    node.poll()
    node.time += timedelta(hours=2)
    node.poll()
    assert node.state(uid) is WorkItemState.WITHDRAWN
    assert "given up after 2 hours" in node.item(uid).reason


def test_a_deleted_work_item_is_withdrawn(node: PerformingNode, ups: UpsOriginServer) -> None:
    uid = node.claim()
    ups.delete(uid)
    node.poll()
    assert node.state(uid) is WorkItemState.WITHDRAWN
    assert "the work item is deleted" in node.item(uid).reason


def test_a_work_item_whose_rule_is_gone_from_the_configuration_is_canceled(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    node.worklist.performer.rules = {}
    node.poll()
    assert ups.state(uid) == "CANCELED"
    (code,) = ups.progress(uid).ProcedureStepDiscontinuationReasonCodeSequence
    assert code.CodeValue == "110530"


def test_a_password_is_used_and_a_wrong_one_is_explained(
    tmp_path: Path, ups: UpsOriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups.password = "right"
    options = 'username = "performer"\npassword_env = "WORKLIST_PASSWORD"'
    monkeypatch.setenv("WORKLIST_PASSWORD", "wrong")
    with performing_node(tmp_path, ups, options) as node:
        node.poll()
        assert "check the user name and password" in node.store.worklist_status("hospital").error
    monkeypatch.setenv("WORKLIST_PASSWORD", "right")
    with performing_node(tmp_path, ups, options) as node:
        uid = node.claim()
        node.deliver(node.job())
        node.poll()
        assert ups.state(uid) == "COMPLETED"


_REQUESTS = (
    "subscribe",
    "state IN PROGRESS",
    "retrieve",
    "update",
    "state COMPLETED",
    "unsubscribe",
)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", _REQUESTS)
def test_a_node_that_dies_at_any_request_completes_the_work_item_once(
    node: PerformingNode, ups: UpsOriginServer, name: str, moment: str
) -> None:
    node.add_images()
    uid = node.schedule()
    current = node
    with killed_at(name, moment) as killed:
        for _ in range(4):
            try:
                current.poll()
                if current.store.jobs_of(SERIES) and current.job().state is JobState.QUEUED:
                    current.deliver(current.job())
            except Killed:
                current = node.restarted()
    assert killed == [name]
    assert (ups.state(uid), node.state(uid)) == ("COMPLETED", WorkItemState.COMPLETED)
    assert ups.changes == [(uid, "IN PROGRESS"), (uid, "COMPLETED")]
    assert len(node.store.jobs_of(SERIES)) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["update", "state CANCELED"])
def test_a_node_that_dies_while_it_cancels_cancels_once(
    node: PerformingNode, ups: UpsOriginServer, name: str, moment: str
) -> None:
    uid = node.claim()
    node.refuse(node.job(), RejectionReason.UNREADABLE, "Damaged.")
    node.worklist.performer.poll()
    assert node.state(uid) is WorkItemState.CANCELING
    with killed_at(name, moment), pytest.raises(Killed):
        node.poll()
    node.restarted().poll()
    assert (ups.state(uid), node.state(uid)) == ("CANCELED", WorkItemState.CANCELED)
    assert ups.changes == [(uid, "IN PROGRESS"), (uid, "CANCELED")]
