"""The retrieval requests and the decisions of scheduled queries, on every database."""

from dataclasses import replace

from node.dicom.query import FoundSeries
from node.domain.identifiers import Uid
from node.store import Store
from tests.support.factories import LATER, NOON, SERIES

FOUND = FoundSeries(Uid("1.2"), SERIES, "20260101", "CT", "Abdomen", 120)


def test_a_postponed_retrieval_states_its_error_and_next_attempt(store: Store) -> None:
    number = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    for _ in range(2):
        store.postpone_retrieval(number, "PACS does not answer", LATER)
    (waiting,) = store.open_retrievals()
    assert (waiting.attempts, waiting.next_try_at) == (2, LATER)
    assert waiting.error == "PACS does not answer"

    store.finish_retrieval(number, LATER)

    store.postpone_retrieval(number, "too late", LATER)
    finished = store.get_retrieval(number)
    assert finished is not None
    assert (finished.error, finished.next_try_at, finished.attempts) == ("", None, 2)


def test_open_retrievals_are_selected_by_source(store: Store) -> None:
    first = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    second = store.request_retrieval("web", Uid("1.2"), SERIES, NOON)
    assert [r.retrieval_id for r in store.open_retrievals("pacs")] == [first]
    assert [r.retrieval_id for r in store.open_retrievals("web")] == [second]


def test_a_queried_series_is_requested_and_recorded_together(store: Store) -> None:
    assert store.queried_counts("pacs", [SERIES]) == {}
    number = store.request_queried_series("pacs", FOUND, NOON)
    assert [r.retrieval_id for r in store.open_retrievals("pacs")] == [number]
    assert store.queried_counts("pacs", [SERIES, Uid("1.9")]) == {SERIES: 120}
    assert store.queried_counts("web", [SERIES]) == {}


def test_a_second_request_for_a_queried_series_joins_the_open_one(store: Store) -> None:
    number = store.request_queried_series("pacs", FOUND, NOON)
    grown = replace(FOUND, instance_count=121)
    assert store.request_queried_series("pacs", grown, LATER) == number
    assert store.queried_counts("pacs", [SERIES]) == {SERIES: 121}


def test_a_series_that_the_node_has_is_recorded_without_a_request(store: Store) -> None:
    store.record_present_series("pacs", replace(FOUND, instance_count=None), NOON)
    assert store.queried_counts("pacs", [SERIES]) == {SERIES: None}
    assert store.open_retrievals() == []
