"""Stored retrieval requests: retries, the end of retries, and defects."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.domain.retry_policy import RetryPolicy
from node.intake.inbox import Inbox
from node.intake.retriever import Accept, Retriever, RetrieveSeries
from node.store import Retrieval, Store
from tests.support.factories import NOON, SERIES, received, sqlite_url

POLICY = RetryPolicy(first_s=4.0, max_s=8.0, give_up_after=timedelta(hours=1))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


def retriever(store: Store, clock: Clock, **sources: RetrieveSeries) -> Retriever:
    return Retriever(
        sources, store, Inbox(store, 0), clock.now, POLICY, clock=lambda: clock.seconds
    )


def state(store: Store, number: int) -> Retrieval:
    found = store.get_retrieval(number)
    assert found is not None
    return found


def fails(study: Uid, series: Uid, accept: Accept) -> int:
    raise Transient("PACS does not answer")


def succeeds(study: Uid, series: Uid, accept: Accept) -> int:
    accept(received())
    return 1


def test_the_delays_double_and_end_after_the_time_of_the_policy(store: Store) -> None:
    clock = Clock()
    polled = retriever(store, clock, pacs=fails)
    number = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    delays_s = []
    for _ in range(3):
        polled.poll("pacs")
        next_try_at = state(store, number).next_try_at
        assert next_try_at is not None
        delays_s.append((next_try_at - clock.now()).total_seconds())
        clock.seconds += delays_s[-1]
    assert delays_s == [3.0, 6.0, 6.0]

    clock.seconds = 3601.0
    polled.poll("pacs")
    assert state(store, number).finished_at == clock.now()
    assert state(store, number).error == "given up after 1 hours: PACS does not answer"


def test_a_restart_tries_again_at_once_and_goes_on_to_count(store: Store) -> None:
    clock = Clock()
    number = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    for _ in range(3):
        retriever(store, clock, pacs=fails).poll("pacs")
    assert state(store, number).attempts == 3
    retriever(store, clock, pacs=succeeds).poll("pacs")
    assert (state(store, number).finished_at, state(store, number).error) == (NOON, "")


def test_a_defect_ends_one_retrieval_and_not_the_others(store: Store) -> None:
    def breaks(study: Uid, series: Uid, accept: Accept) -> int:
        if series == SERIES:
            raise KeyError("surprise")
        return succeeds(study, series, accept)

    broken = store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    other = store.request_retrieval("pacs", Uid("1.2"), Uid("1.2.4"), NOON)
    retriever(store, Clock(), pacs=breaks).poll("pacs")
    assert state(store, broken).error == "KeyError: 'surprise'"
    assert state(store, other).error == ""


def test_a_source_is_polled_without_the_others(store: Store) -> None:
    polled = retriever(store, Clock(), pacs=succeeds, web=fails)
    store.request_retrieval("web", Uid("1.2"), SERIES, NOON)
    polled.poll("pacs")
    (waiting,) = store.open_retrievals()
    assert waiting.attempts == 0


def test_a_retrieved_series_is_decided_without_the_quiet_time(store: Store) -> None:
    store.request_retrieval("pacs", Uid("1.2"), SERIES, NOON)
    retriever(store, Clock(), pacs=succeeds).poll("pacs")
    series = store.get_series(SERIES)
    assert series is not None
    assert series.start_requested
