"""The contract of the store for instances and series, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.exc import StatementError

from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.series import SeriesState
from node.store import Store
from node.store.database import parse_url
from node.store.received.instances import NewInstance
from node.store.schema import METADATA
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of, received, series_in


def test_an_instance_is_indexed_once(store: Store) -> None:
    path = store.data_dir / "instances" / "1.2.3" / "1.2.3.1.dcm"
    instance = received(sop_instance_uid="1.2.3.1")

    assert store.add_instance(instance, path, 10, NOON)
    assert not store.add_instance(instance, path, 10, LATER)

    (kept,) = store.instances_of(SERIES)
    assert kept.path == path
    assert kept.sop_instance_uid == "1.2.3.1"
    series = store.get_series(SERIES)
    assert series is not None
    assert series.instance_count == 1
    assert series.last_received_at == NOON


def test_an_indexed_instance_sent_in_another_series_adds_no_empty_series(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    elsewhere = received(sop_instance_uid="1.2.3.1", series_instance_uid="1.2.4")

    assert not store.add_instance(elsewhere, store.data_dir / "x.dcm", 10, LATER)

    assert store.get_series("1.2.4") is None
    assert len(series_in(store)) == 1


def _new(store: Store, sop_instance_uid: str, series_instance_uid: str = SERIES) -> NewInstance:
    instance = received(sop_instance_uid=sop_instance_uid, series_instance_uid=series_instance_uid)
    path = store.data_dir / "instances" / series_instance_uid / f"{sop_instance_uid}.dcm"
    return NewInstance(instance, path, 10, LATER, "1" * 64)


def test_instances_that_arrive_at_the_same_time_share_a_transaction(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, NOON, seen_count=1)
    group = [_new(store, "1.2.4.1", "1.2.4"), _new(store, "1.2.3.2"), _new(store, "1.2.3.3")]

    assert store.add_group(group) == [True, True, True]

    found = {series.series_instance_uid: series for series in series_in(store)}
    assert {uid: series.instance_count for uid, series in found.items()} == {SERIES: 3, "1.2.4": 1}
    assert {series.state for series in found.values()} == {SeriesState.RECEIVING}
    assert {series.last_received_at for series in found.values()} == {LATER}
    assert store.find_instance("1.2.3.3") is not None


def test_of_instances_that_arrive_at_the_same_time_a_known_one_changes_nothing(
    store: Store,
) -> None:
    add_instances(store, "1.2.3.1")
    known = [_new(store, "1.2.3.1"), _new(store, "1.2.3.1", "1.2.5")]
    twice = [_new(store, "1.2.3.2"), _new(store, "1.2.3.2")]

    results = store.add_group([*known, *twice, _new(store, "1.2.3.3")])

    assert results == [False, False, True, False, True]
    (series,) = series_in(store)
    assert series.instance_count == 3
    assert store.get_series("1.2.5") is None


def test_times_are_returned_as_aware_utc(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    series = store.get_series(SERIES)
    assert series is not None
    assert series.first_received_at == NOON
    assert series.first_received_at.tzinfo is UTC


def test_a_naive_time_is_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="aware"):
        store.add_event(NOON.replace(tzinfo=None), "x", "y")


def test_a_decision_is_stored_only_if_no_instance_arrived_since(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")

    assert not store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, LATER, seen_count=1)
    assert [s.state for s in store.open_series()] == [SeriesState.RECEIVING]
    assert store.decision_of(SERIES) is None

    assert store.record_decision(SERIES, '{"a": 1}', SeriesState.ACCEPTED, LATER, seen_count=2)
    assert store.open_series() == []
    assert store.decision_of(SERIES) == '{"a": 1}'


@pytest.mark.parametrize("state", [SeriesState.ACCEPTED, SeriesState.IGNORED])
def test_a_late_instance_reopens_a_decided_series(store: Store, state: SeriesState) -> None:
    add_instances(store, "1.2.3.1")
    store.record_decision(SERIES, "{}", state, NOON, seen_count=1)

    add_instances(store, "1.2.3.2", now=LATER)

    (series,) = store.open_series()
    assert series.instance_count == 2
    assert series.last_received_at == LATER


def test_a_start_request_lasts_until_the_decision(store: Store) -> None:
    assert not store.request_start(SERIES, NOON)
    add_instances(store, "1.2.3.1")

    assert store.request_start(SERIES, NOON)
    assert [s.start_requested for s in store.open_series()] == [True]

    store.record_decision(SERIES, "{}", SeriesState.IGNORED, LATER, seen_count=1)
    add_instances(store, "1.2.3.2")
    assert [s.start_requested for s in store.open_series()] == [False]


def test_a_decided_series_can_be_started_again(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, seen_count=1)
    assert store.request_start(SERIES, LATER)
    assert [s.series_instance_uid for s in store.open_series()] == [SERIES]


def test_the_longest_quiet_series_comes_first(store: Store) -> None:
    for uid, now in (("1.2.5", LATER), ("1.2.6", NOON)):
        instance = received(sop_instance_uid=f"{uid}.1", series_instance_uid=uid)
        store.add_instance(instance, store.data_dir / uid, 1, now)
    assert [s.series_instance_uid for s in store.open_series()] == ["1.2.6", "1.2.5"]
    assert [s.series_instance_uid for s in series_in(store, limit=1)] == ["1.2.5"]


def test_a_retrieval_requested_twice_is_one_request_until_it_is_finished(store: Store) -> None:
    first = store.request_retrieval("orthanc", Uid("1.2"), SERIES, NOON)
    assert store.request_retrieval("orthanc", Uid("1.2"), SERIES, LATER) == first
    assert [r.retrieval_id for r in store.open_retrievals()] == [first]

    store.finish_retrieval(first, LATER, error="the source does not answer")

    assert store.open_retrievals() == []
    finished = store.get_retrieval(first)
    assert finished is not None
    assert finished.error == "the source does not answer"
    second = store.request_retrieval("orthanc", Uid("1.2"), SERIES, LATER)
    assert second != first
    assert [r.retrieval_id for r in store.list_retrievals()] == [second, first]


def test_each_series_is_listed_with_its_outcome(store: Store) -> None:
    for number, uid in enumerate(("1.1", "1.2", "1.3"), start=1):
        instance = received(sop_instance_uid=f"{uid}.1", series_instance_uid=uid)
        store.add_instance(instance, store.data_dir / uid, 1, NOON + timedelta(seconds=number))
    store.record_decision("1.2", "{}", SeriesState.IGNORED, NOON, 1)
    store.record_decision("1.3", "{}", SeriesState.ACCEPTED, NOON, 1)
    store.add_job(job_of(Uid("1.3")))
    store.change_job(job_of(Uid("1.3")).job_id, JobState.RUNNING, NOON)
    store.change_job(job_of(Uid("1.3")).job_id, JobState.REFUSED, NOON, reason="too few slices")

    listed = store.outcomes_of(["1.3", "1.2", "1.1"])

    assert [(o.series.series_instance_uid, o.outcome, o.reason) for o in listed] == [
        ("1.3", "refused", "too few slices"),
        ("1.2", "ignored", ""),
        ("1.1", "receiving", ""),
    ]


def test_the_same_instance_from_many_threads_is_counted_once(store: Store) -> None:
    path = store.data_dir / "x.dcm"
    names = [f"1.2.3.{number % 5}" for number in range(40)]

    def add(name: str) -> bool:
        return store.add_instance(received(sop_instance_uid=name), path, 1, NOON)

    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(add, names))

    assert added.count(True) == 5
    series = store.get_series(SERIES)
    assert series is not None
    assert series.instance_count == len(store.instances_of(SERIES)) == 5


def test_a_concurrent_decision_never_loses_a_late_instance(store: Store) -> None:
    for count in range(1, 11):
        add_instances(store, f"1.2.3.{count}")
        seen = count * 2 - 1
        with ThreadPoolExecutor(2) as threads:
            decided = threads.submit(
                store.record_decision, SERIES, "{}", SeriesState.IGNORED, NOON, seen
            )
            threads.submit(add_instances, store, f"1.2.3.{count}.9").result()
            decided.result()
        # Whichever transaction came first, the series is open for the late instance.
        assert [one.series_instance_uid for one in store.open_series()] == [SERIES]
        assert store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, count * 2)
    series = store.get_series(SERIES)
    assert series is not None
    assert series.instance_count == 20


@pytest.mark.usefixtures("each_database_migrates")
def test_concurrent_openers_migrate_once(database_url: str, tmp_path: Path) -> None:
    def open_and_close(_number: int) -> int:
        opened = Store.open(database_url, tmp_path)
        count = len(series_in(opened))
        opened.close()
        return count

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(open_and_close, range(4))) == [0, 0, 0, 0]
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
