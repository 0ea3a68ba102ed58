"""Series of which images are missing, on every database."""

from datetime import timedelta
from functools import partial

import pytest

from node.domain.audit.records import AuditAction, AuditActor, AuditInterface
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.domain.instance import Channel, Origin
from node.domain.listing.listed_states import ListedState
from node.domain.series import Deletion, SeriesState
from node.store import Store
from node.store.audit_trail.searching import AuditSearch
from node.store.received import incomplete
from node.store.search.query import SeriesQuery
from tests.support.factories import LATER, NOON, SERIES, add_instances, received

OTHER = Uid("1.2.4")
MODALITY = Origin(Channel.C_STORE, "MODALITY1")
MUCH_LATER = LATER + timedelta(hours=1)


def refused(number: int, series: Uid = SERIES, reason: str = "no space") -> RefusedImage:
    return RefusedImage(series, Uid(f"{series}.{number}"), reason, NOON)


def events(store: Store) -> list[str]:
    return [event.event for event in store.history_of(SERIES)]


def test_a_refused_image_is_missing_until_it_arrives(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_refused_images([refused(2), refused(3), refused(2)])
    missing = store.incomplete_series()[SERIES]
    assert (missing.refused, missing.reason, missing.since) == (2, "no space", NOON)
    assert missing.text == "2 images of this series were refused and are missing (no space)."

    add_instances(store, f"{SERIES}.2", now=LATER)
    assert store.incomplete_series([SERIES])[SERIES].refused == 1
    assert store.incomplete_series([OTHER]) == {}

    add_instances(store, f"{SERIES}.3", now=LATER)
    assert store.incomplete_series() == {}
    assert events(store) == ["series.images_refused"]


def test_an_image_that_another_series_holds_is_missing(store: Store) -> None:
    add_instances(store, f"{SERIES}.1", f"{SERIES}.2")
    store.record_refused_images([RefusedImage(OTHER, Uid(f"{SERIES}.1"), "held elsewhere", NOON)])
    assert store.incomplete_series() == {}  # the node has no image of that series
    store.record_refused_images([RefusedImage(SERIES, Uid("1.9"), "held elsewhere", NOON)])
    assert list(store.incomplete_series()) == [SERIES]


def test_a_sender_that_was_turned_away_leaves_its_series_incomplete(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_refused_sender(Origin(Channel.C_STORE, "ANOTHER"), "no space", LATER)
    assert store.incomplete_series() == {}

    store.record_refused_sender(MODALITY, "no space", LATER)
    missing = store.incomplete_series()[SERIES]
    assert missing.refused == 0
    assert missing.text == (
        "Images of this series may be missing: the node has turned the sender away (no space)."
    )

    of_another = received(sop_instance_uid="1.2.9.1", series_instance_uid="1.2.9", peer="ANOTHER")
    store.add_instance(of_another, store.data_dir / "1", 10, MUCH_LATER)
    assert list(store.incomplete_series()) == [SERIES]

    its_next = received(sop_instance_uid="1.2.4.1", series_instance_uid=OTHER)
    store.add_instance(its_next, store.data_dir / "2", 10, MUCH_LATER)
    assert store.incomplete_series() == {}


def test_a_decided_series_is_not_affected_when_its_sender_is_turned_away(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_decision(SERIES, "{}", SeriesState.IGNORED, LATER, 1)
    store.record_refused_sender(MODALITY, "no space", LATER)
    assert store.incomplete_series() == {}


def test_a_decision_by_hand_settles_what_is_missing(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_refused_images([refused(2)])
    store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, LATER, 1)
    assert list(store.incomplete_series()) == [SERIES]

    store.request_start(SERIES, LATER)
    store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, LATER, 1)
    assert store.incomplete_series() == {}
    assert "series.started_incomplete" in events(store)


def test_the_images_of_an_unfinished_retrieval_are_incomplete(store: Store) -> None:
    number = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    add_instances(store, f"{SERIES}.1", now=LATER)
    missing = store.incomplete_series()[SERIES]
    assert not missing.is_over
    assert missing.text == "This series is being retrieved from pacs."

    store.finish_retrieval(number, MUCH_LATER, "it does not answer")
    missing = store.incomplete_series()[SERIES]
    assert missing.is_over
    assert missing.text == (
        "The retrieval of this series from pacs has failed (it does not answer)."
    )

    again = store.request_retrieval("pacs", Uid("1.2"), SERIES, MUCH_LATER)
    store.finish_retrieval(again, MUCH_LATER)
    assert store.incomplete_series() == {}


@pytest.mark.parametrize("hours", [-1, 1])
def test_images_from_before_or_after_a_failed_retrieval_are_complete(
    store: Store, hours: int
) -> None:
    number = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    store.finish_retrieval(number, LATER, "it does not answer")
    add_instances(store, f"{SERIES}.1", now=NOON + timedelta(hours=hours))
    assert store.incomplete_series() == {}


def test_a_series_that_waits_for_images_needs_attention(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    attention = SeriesQuery(states=frozenset({ListedState.ATTENTION}))
    assert store.search_series(attention).rows == ()
    store.record_refused_images([refused(2)])

    (row,) = store.search_series(attention).rows
    both = frozenset({ListedState.RECEIVING, ListedState.ATTENTION})
    assert (row.series_instance_uid, row.states) == (SERIES, both)
    for query in (SeriesQuery(), SeriesQuery(uid=SERIES)):
        counts = store.count_found(query)
        assert (counts.total, counts.of(attention.states)) == (1, 1)
    (found,) = store.outcomes_of([SERIES])
    assert found.reason == store.incomplete_series()[SERIES].explanation
    assert store.search_series(SeriesQuery(states=both)).rows == (row,)

    add_instances(store, f"{SERIES}.2", now=LATER)
    assert store.search_series(attention).rows == ()
    assert store.count_found(SeriesQuery()).of(attention.states) == 0
    assert store.outcomes_of([SERIES])[0].reason == ""


def test_a_series_that_waits_for_images_can_be_deleted(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_refused_images([refused(2)])
    delete = partial(store.delete_series, SERIES, by=AuditActor("ada", AuditInterface.CLI))
    assert delete(NOON, reason="a test") is Deletion.ARRIVING
    assert delete(LATER, reason="a test") is Deletion.DELETED
    assert store.instances_of(SERIES) == ()
    series = store.get_series(SERIES)
    assert series is not None
    assert (series.state, store.open_series()) == (SeriesState.DELETED, [])
    (row,) = store.search_series(SeriesQuery()).rows
    assert row.states == {ListedState.DISCARDED}

    assert delete(LATER, reason="again") is Deletion.NOTHING_STORED
    records = store.audit_page(AuditSearch(action=AuditAction.DELETED), 10)
    assert len(records) == 1

    add_instances(store, f"{SERIES}.1", now=MUCH_LATER)
    reopened = store.get_series(SERIES)
    assert reopened is not None
    assert reopened.state is SeriesState.RECEIVING


def test_an_incomplete_series_that_a_person_has_started_is_not_deleted(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_refused_images([refused(2)])
    store.request_start(SERIES, LATER)
    ada = AuditActor("ada", AuditInterface.CLI)
    kept = store.delete_series(SERIES, MUCH_LATER, by=ada, reason="a test")
    assert kept is Deletion.UNFINISHED


def test_a_series_that_is_being_retrieved_is_not_deleted(store: Store) -> None:
    number = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    add_instances(store, f"{SERIES}.1", now=LATER)
    ada = AuditActor("ada", AuditInterface.CLI)
    kept = store.delete_series(SERIES, MUCH_LATER, by=ada, reason="a test")
    assert kept is Deletion.UNFINISHED
    store.finish_retrieval(number, MUCH_LATER, "it does not answer")
    assert store.delete_series(SERIES, MUCH_LATER, by=ada, reason="a test") is Deletion.DELETED


def test_old_rows_and_the_oldest_above_the_limit_are_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incomplete, "MAX_REFUSED_IMAGES", 2)
    add_instances(store, f"{SERIES}.1")
    for number in range(2, 7):
        at = NOON + timedelta(days=number)
        store.record_refused_images([RefusedImage(SERIES, Uid(f"{SERIES}.{number}"), "", at)])
    store.forget_refused_images(NOON + timedelta(days=7))
    kept = store.incomplete_series()[SERIES]
    assert kept.since >= NOON + timedelta(days=4)

    store.forget_refused_images(NOON + timedelta(days=60))
    assert store.incomplete_series() == {}
