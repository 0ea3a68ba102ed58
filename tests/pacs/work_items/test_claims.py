"""Which work items the node claims, and what it does when somebody else has one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.worklists.work_item import WorkItemState
from tests.support.dicom.work_items import series_input
from tests.support.servers.performing_node import (
    SERIES,
    STUDY,
    PerformingNode,
    performing_node,
)
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.servers.ups_worklist import Answer, Received


@pytest.fixture
def station(tmp_path: Path, ups: UpsOriginServer) -> Iterator[PerformingNode]:
    """A node that performs only the work items of its station and worklist."""
    options = 'station = "AI-1"\nstation_scheme = "99HOSP"\nlabel = "AI"\nmax_open = 2'
    with performing_node(tmp_path, ups, options) as made:
        yield made


def test_only_work_items_with_a_known_code_that_are_due_are_claimed(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    mine = node.schedule()
    others = [
        node.schedule(codes=["SPLEEN"]),
        node.schedule(readiness="INCOMPLETE"),
        node.schedule(starts="20300101000000"),
    ]
    node.poll()
    assert ups.state(mine) == "IN PROGRESS"
    assert [ups.state(uid) for uid in others] == ["SCHEDULED"] * 3
    assert len(node.store.list_work_items()) == 1


def test_only_work_items_of_the_station_and_worklist_are_claimed(
    station: PerformingNode, ups: UpsOriginServer
) -> None:
    ups.ignores_keys = True
    station.add_images()
    mine = station.schedule(station="AI-1", label="AI")
    others = [
        station.schedule(station="AI-2", label="AI"),
        station.schedule(station="AI-1", label="CAD", priority="LOW"),
        station.schedule(),
    ]
    station.poll()
    assert ups.state(mine) == "IN PROGRESS"
    assert [ups.state(uid) for uid in others] == ["SCHEDULED"] * 3


def test_a_work_item_of_the_station_with_an_unknown_code_is_rejected(
    station: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = station.schedule(station="AI-1", label="AI", codes=["SPLEEN"])
    station.poll()
    assert ups.state(uid) == "CANCELED"
    (code,) = ups.progress(uid).ProcedureStepDiscontinuationReasonCodeSequence
    assert code.CodeValue == "110530"
    assert "has no task for its code" in ups.progress(uid).ReasonForCancellation
    assert ups.refused == []


def test_urgent_work_items_are_claimed_first_and_others_wait(
    station: PerformingNode, ups: UpsOriginServer
) -> None:
    station.add_images()
    uids = [
        station.schedule(station="AI-1", label="AI", priority=priority, starts=f"2026010{day}")
        for priority, day in (("LOW", 1), ("MEDIUM", 2), ("MEDIUM", 1), ("HIGH", 2))
    ]
    station.poll()
    states = [ups.state(uid) for uid in uids]
    assert states == ["SCHEDULED", "SCHEDULED", "IN PROGRESS", "IN PROGRESS"]


def test_work_items_on_every_page_of_the_search_are_found(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    for number in range(120):
        node.schedule(codes=[f"OTHER-{number}"])
    node.add_images()
    uid = node.schedule()
    node.poll()
    assert ups.state(uid) == "IN PROGRESS"


def test_a_work_item_that_another_performer_has_claimed_is_left_alone(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    uid = node.schedule()
    node.worklist.search.poll()
    assert ups.claim(uid, "1.2.3.4").status == 200
    node.poll()
    assert node.state(uid) is WorkItemState.WITHDRAWN
    assert "another performer has claimed it" in node.item(uid).reason
    assert ups.state(uid) == "IN PROGRESS"
    assert "ProcedureStepProgressInformationSequence" in ups.items[uid]
    assert ups.items[uid].ProcedureStepProgressInformationSequence == []
    assert node.store.list_retrievals() == []


def test_two_nodes_perform_a_work_item_once(tmp_path: Path, ups: UpsOriginServer) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        performing_node(tmp_path / "one", ups) as one,
        performing_node(tmp_path / "two", ups) as two,
    ):
        one.add_images()
        two.add_images()
        uid = one.schedule()
        for node in (one, two):
            node.worklist.search.poll()
        for node in (two, one):
            node.worklist.performer.poll()
        one.poll()
        two.poll()
        assert two.state(uid) is WorkItemState.PERFORMING
        assert one.state(uid) is WorkItemState.WITHDRAWN
        assert ups.changes == [(uid, "IN PROGRESS")]


def test_two_workers_of_a_site_claim_a_work_item_with_the_same_key(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    uid = node.schedule()
    first, second = node, node.restarted()
    for worker in (first, second):
        worker.worklist.search.poll()
    items = node.store.open_work_items("hospital")
    assert len(items) == 1
    # Both have read the row before either has recorded its claim.
    first.worklist.performer._advance(items[0])
    second.worklist.performer._advance(items[0])
    assert node.state(uid) is WorkItemState.CLAIMED
    assert ups.changes == [(uid, "IN PROGRESS")]
    node.poll()
    assert len(node.store.list_retrievals()) == 1


def test_a_claim_whose_answer_was_lost_is_recognised_as_the_nodes(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    uid = node.schedule()

    def lose(request: Received) -> None:
        if request.name == "state IN PROGRESS":
            ups.is_down = True

    ups.after = lose
    node.worklist.search.poll()
    node.worklist.performer.poll()
    assert (ups.state(uid), node.state(uid)) == ("IN PROGRESS", WorkItemState.CLAIMING)
    ups.is_down = False
    ups.after = lambda _: None

    node.restarted().poll()

    assert node.state(uid) is WorkItemState.PERFORMING
    assert ups.changes == [(uid, "IN PROGRESS")]


def test_a_work_item_that_its_server_ended_before_the_claim_is_withdrawn(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    uid = node.schedule()
    node.worklist.search.poll()
    assert ups.request_cancellation(uid).status == 202
    node.poll()
    assert node.state(uid) is WorkItemState.WITHDRAWN
    assert ups.state(uid) == "CANCELED"


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ({"url": "http://pacs.test/dicom-web/studies/1.2/series/1.2.3"}, "web"),
        ({"ae_title": "PACS"}, "pacs"),
        ({"ae_title": "OTHER"}, "web"),
        ({}, "web"),
    ],
)
def test_images_come_from_where_the_work_item_says_else_from_the_default(
    node: PerformingNode, place: dict[str, str], source: str
) -> None:
    node.add_images()
    node.schedule(series_input(STUDY, SERIES, **place))
    node.poll()
    (retrieval,) = node.store.list_retrievals()
    assert retrieval.source == source


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.test/dicom-web/studies/1.2/series/1.2.3",
        "http://pacs.test/dicom-web.elsewhere.test/studies/1.2",
    ],
)
def test_images_are_not_retrieved_from_an_address_that_the_configuration_does_not_name(
    tmp_path: Path, ups: UpsOriginServer, url: str
) -> None:
    with performing_node(tmp_path, ups, source="") as node:
        node.add_images()
        uid = node.schedule(series_input(STUDY, SERIES, url=url))
        node.poll()
        assert ups.state(uid) == "CANCELED"
        assert "neither a source nor a peer" in node.item(uid).reason
        assert node.store.list_retrievals() == []


def test_a_mistake_in_what_the_node_does_not_read_is_no_matter(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.add_images()
    uid = node.schedule()
    ups.added_elements["00101010"] = {"vr": "AS", "Value": [{"Alphabetic": "old"}, 7]}
    node.poll()
    assert ups.state(uid) == "IN PROGRESS"


@pytest.mark.parametrize("body", [None, {}, [1], [{"00080018": 5}], "text"])
def test_an_answer_that_is_no_list_of_work_items_is_a_failure_of_the_server(
    node: PerformingNode, ups: UpsOriginServer, body: object
) -> None:
    ups.answer = Answer(200, body)
    node.poll()
    assert "answered" in node.store.worklist_status("hospital").error
