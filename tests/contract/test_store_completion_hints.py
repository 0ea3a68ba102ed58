"""What senders say about the completeness of their series, on every database."""

from datetime import timedelta

from node.domain.identifiers import Uid
from node.domain.series import SeriesState
from node.store import Store
from tests.support.factories import LATER, NOON, SERIES, add_instances

SECOND = timedelta(seconds=1)


def hinted(store: Store) -> set[Uid]:
    return store.hinted_series(store.open_series())


def test_a_hint_applies_until_the_series_gets_another_image(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    assert hinted(store) == set()
    store.record_completion_hint([SERIES], NOON, "CT1 has released its association")
    assert hinted(store) == {SERIES}
    (event,) = store.history_of(SERIES)
    assert (event.event, event.detail) == (
        "series.completion_hint",
        "CT1 has released its association",
    )

    add_instances(store, f"{SERIES}.2", now=LATER)
    assert hinted(store) == set()
    store.record_completion_hint([SERIES], LATER + SECOND, "CT1 has released its association")
    assert hinted(store) == {SERIES}


def test_a_hint_about_a_decided_or_unknown_series_is_not_recorded(store: Store) -> None:
    add_instances(store, f"{SERIES}.1")
    store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, 1)
    before = store.history_of(SERIES)
    store.record_completion_hint([SERIES, Uid("1.9")], NOON, "CT1 has released its association")
    assert store.history_of(SERIES) == before
    assert store.history_of("1.9") == ()


def test_a_series_is_wholly_in_a_list_that_has_each_of_its_images(store: Store) -> None:
    uids = [Uid(f"{SERIES}.{number}") for number in range(1, 600)]
    add_instances(store, *uids)
    assert store.series_wholly_in([*uids, Uid("1.9")]) == [SERIES]
    assert store.series_wholly_in([*uids[1:], uids[1]]) == []
    store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, len(uids))
    assert store.series_wholly_in(uids) == []
