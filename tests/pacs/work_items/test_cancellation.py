"""Requests to cancel work items arrive by WebSocket, and the node honours them in time."""

from datetime import timedelta
from pathlib import Path

import pytest

from node.domain.job import JobState
from node.domain.worklists.work_item import WorkItemState
from tests.support.dicom.work_items import code
from tests.support.servers.performing_node import (
    SERIES,
    PerformingNode,
    performing_node,
)
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.waiting import until


def listen(node: PerformingNode) -> None:
    """Opens the channel for events."""
    events = node.worklist.events
    assert events is not None
    events.poll()
    until(lambda: node.ups.is_listening("SEGNODE"), 10, "the channel to open")


def receive_request(node: PerformingNode, uid: str) -> None:
    """Receives events until the request to cancel is recorded."""
    events = node.worklist.events
    assert events is not None

    def is_recorded() -> bool:
        events.poll()
        return node.item(uid).cancel_requested_at is not None

    until(is_recorded, 10, "the request to be recorded")


def reason_code(node: PerformingNode, uid: str) -> str:
    (reason,) = node.ups.progress(uid).ProcedureStepDiscontinuationReasonCodeSequence
    return f"{reason.CodeValue} {reason.CodingSchemeDesignator}"


def test_a_request_cancels_the_work_item_and_its_job(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    listen(node)
    uid = node.claim()
    assert ups.request_cancellation(uid, code("110510", "DCM", "Duplicate order")).status == 202
    receive_request(node, uid)
    node.poll()
    assert (ups.state(uid), node.state(uid)) == ("CANCELED", WorkItemState.CANCELED)
    assert reason_code(node, uid) == "110510 DCM"
    assert node.job().state is JobState.DISCARDED
    assert ups.refused == []
    events = [event.event for event in node.store.history_of(uid)]
    assert events[-3:] == [
        "work_item.cancel_requested",
        "work_item.canceling",
        "work_item.canceled",
    ]


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.DELIVERING, JobState.PARKED])
def test_an_unfinished_job_of_which_nothing_is_sent_is_discarded(
    node: PerformingNode, ups: UpsOriginServer, state: JobState
) -> None:
    uid = node.claim()
    job = node.job()
    if state is JobState.DELIVERING:
        node.store_result(job)
    else:
        node.store.change_job(job.job_id, state, node.time, reason="")
    node.store.request_cancellation("hospital", uid, None, node.time)
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert reason_code(node, uid) == "110513 DCM"
    assert node.job().state is JobState.DISCARDED


def test_images_that_are_still_retrieved_are_not_processed_after_the_cancellation(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    node.unreachable.add(SERIES)
    uid = node.schedule()
    node.poll()
    node.store.request_cancellation("hospital", uid, None, node.time)
    node.unreachable.clear()
    node.worklist.performer.poll()
    node.poll()
    assert ups.state(uid) == "CANCELED"
    assert node.store.jobs_of(SERIES) == ()


def test_a_request_comes_too_late_once_a_destination_has_the_result(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    node.deliver(node.job())
    node.store.request_cancellation("hospital", uid, None, node.time)
    node.poll()
    assert ups.state(uid) == "COMPLETED"
    assert node.job().state is JobState.DELIVERED


def test_an_earlier_result_of_fewer_images_does_not_keep_a_newer_one_from_cancellation(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.claim()
    node.deliver(node.job())
    node.poll()
    node.add_images(count=3)
    node.time += timedelta(minutes=1)
    uid = node.schedule()
    node.poll()
    assert node.job().instance_count == 3
    node.store.request_cancellation("hospital", uid, None, node.time)
    node.poll()
    assert ups.state(uid) == "CANCELED"


def test_a_job_that_another_work_item_needs_continues(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    first = node.claim()
    second = node.schedule()
    node.poll()
    node.store.request_cancellation("hospital", first, None, node.time)
    node.poll()
    assert ups.state(first) == "CANCELED"
    node.deliver(node.job())
    node.poll()
    assert ups.state(second) == "COMPLETED"


def test_a_job_that_the_rules_start_anyway_continues(tmp_path: Path, ups: UpsOriginServer) -> None:
    with performing_node(tmp_path, ups, only_for_work_items=False) as node:
        uid = node.claim()
        node.store.request_cancellation("hospital", uid, None, node.time)
        node.poll()
        assert ups.state(uid) == "CANCELED"
        assert node.job().state is JobState.QUEUED


def test_a_work_item_that_its_server_ends_is_withdrawn_and_its_job_discarded(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.claim()
    ups.end(uid, "CANCELED")
    node.poll()
    assert node.state(uid) is WorkItemState.WITHDRAWN
    assert node.item(uid).reason == "the server ended it as CANCELED"
    assert node.job().state is JobState.DISCARDED


def test_a_lost_channel_is_opened_again(node: PerformingNode, ups: UpsOriginServer) -> None:
    listen(node)
    uid = node.claim()
    ups.drop_channels()
    until(lambda: not ups.is_listening("SEGNODE"), 10, "the channel to close")
    events = node.worklist.events
    assert events is not None

    def is_open() -> bool:
        events.poll()
        return ups.is_listening("SEGNODE")

    until(is_open, 10, "the channel to open again")
    assert ups.request_cancellation(uid).status == 202
    receive_request(node, uid)


def test_other_events_and_what_is_no_event_change_nothing(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    listen(node)
    uid = node.claim()
    events = node.worklist.events
    assert events is not None
    for message in ("", "[]", '{"00001002": {"Value": [2]}}', '{"00001002": 2}', b"\xff", "null"):
        events._handle(message)
    assert node.item(uid).cancel_requested_at is None


def test_a_server_without_subscriptions_is_served_all_the_same(
    node: PerformingNode, ups: UpsOriginServer, capsys: pytest.CaptureFixture[str]
) -> None:
    ups.supports_subscriptions = False
    uid = node.claim()
    node.deliver(node.job())
    node.poll()
    assert ups.state(uid) == "COMPLETED"
    assert capsys.readouterr().out.count("worklist.subscription_failed") == 1


def test_nothing_is_subscribed_where_the_site_does_not_want_it(
    tmp_path: Path, ups: UpsOriginServer
) -> None:
    with performing_node(tmp_path, ups, "subscribe = false") as node:
        node.claim()
        assert node.worklist.events is None
        assert node.names("subscribe") == []
