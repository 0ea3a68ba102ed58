"""The store keeps the same promises on SQLite and on PostgreSQL."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.exc import StatementError

from node.domain.delivery import DeliveryState, Receipt
from node.domain.errors import Transient
from node.domain.identity import Uid
from node.domain.job import JobState, Replaced
from node.domain.series import SeriesState
from node.store import IllegalChange, Store, UnknownDelivery, UnknownJob
from node.store.database import parse_url
from node.store.schema import METADATA
from tests.contract.postgresql_server import PostgresqlServer
from tests.stored import NOON, job_of, received, sqlite_url

LATER = NOON + timedelta(minutes=1)
SERIES = Uid("1.2.3")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, PostgresqlServer)
    return server.new_database()


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(database_url, tmp_path)
    yield opened
    opened.close()


def add_instances(store: Store, *sop_instance_uids: str, now: datetime = NOON) -> None:
    for uid in sop_instance_uids:
        path = store.data_dir / "instances" / SERIES / f"{uid}.dcm"
        assert store.add_instance(received(sop_instance_uid=uid), path, 10, now)


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


def test_a_known_instance_in_an_unknown_series_leaves_no_empty_series(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    elsewhere = received(sop_instance_uid="1.2.3.1", series_instance_uid="1.2.4")

    assert not store.add_instance(elsewhere, store.data_dir / "x.dcm", 10, LATER)

    assert store.get_series("1.2.4") is None
    assert len(store.list_series()) == 1


def test_times_come_back_as_aware_utc(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    series = store.get_series(SERIES)
    assert series is not None
    assert series.first_received_at == NOON
    assert series.first_received_at.tzinfo is UTC


def test_a_naive_time_is_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="aware"):
        store.audit(NOON.replace(tzinfo=None), "x", "y")


def test_a_decision_holds_only_for_the_instances_it_has_seen(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")

    assert not store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, LATER, seen_count=1)
    assert [s.state for s in store.open_series()] == [SeriesState.RECEIVING]
    assert store.decision_of(SERIES) is None

    assert store.record_decision(SERIES, '{"a": 1}', SeriesState.ACCEPTED, LATER, seen_count=2)
    assert store.open_series() == []
    assert store.decision_of(SERIES) == '{"a": 1}'


@pytest.mark.parametrize("state", [SeriesState.ACCEPTED, SeriesState.IGNORED])
def test_a_late_instance_opens_a_decided_series_again(store: Store, state: SeriesState) -> None:
    add_instances(store, "1.2.3.1")
    store.record_decision(SERIES, "{}", state, NOON, seen_count=1)

    add_instances(store, "1.2.3.2", now=LATER)

    (series,) = store.open_series()
    assert series.instance_count == 2
    assert series.last_received_at == LATER


def test_an_explicit_start_is_kept_until_the_decision(store: Store) -> None:
    assert not store.request_start(SERIES, NOON)
    add_instances(store, "1.2.3.1")

    assert store.request_start(SERIES, NOON)
    assert [s.start_requested for s in store.open_series()] == [True]

    store.record_decision(SERIES, "{}", SeriesState.IGNORED, LATER, seen_count=1)
    add_instances(store, "1.2.3.2")
    assert [s.start_requested for s in store.open_series()] == [False]


def test_a_decided_series_can_be_started_again_by_hand(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, seen_count=1)
    assert store.request_start(SERIES, LATER)
    assert [s.series_instance_uid for s in store.open_series()] == [SERIES]


def test_the_longest_quiet_series_comes_first(store: Store) -> None:
    for uid, now in (("1.2.5", LATER), ("1.2.6", NOON)):
        instance = received(sop_instance_uid=f"{uid}.1", series_instance_uid=uid)
        store.add_instance(instance, store.data_dir / uid, 1, now)
    assert [s.series_instance_uid for s in store.open_series()] == ["1.2.6", "1.2.5"]
    assert [s.series_instance_uid for s in store.list_series(limit=1)] == ["1.2.5"]


def test_a_job_comes_back_as_it_was_put_in(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = replace(
        job_of(SERIES),
        replaces=Replaced(Uid("2.25.1"), 7),
        destinations=("archive", "pacs"),
        timings_s={"read": 0.5},
        measurements={"liver": {"volume_ml": 1500.5, "cut_by_series": False}},
        result_path=store.data_dir / "results" / "x.dcm",
    )
    assert store.add_job(job)
    assert not store.add_job(replace(job, rule="another"))
    assert store.get_job(job.job_id) == job
    assert store.jobs_of(SERIES) == (job,)
    assert store.list_jobs(states=[JobState.QUEUED]) == [job]
    assert store.list_jobs(states=[JobState.PARKED]) == []
    assert store.list_jobs(series_uid="1.2.9") == []
    assert store.jobs_to_start() == [job]


def test_a_job_goes_its_way_and_keeps_what_it_is_told_on_it(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.change_job(
        job.job_id,
        JobState.DELIVERING,
        LATER,
        timings_s={"segment": 2.5},
        measurements={"liver": {"volume_ml": 1500.0}},
        result_path=store.data_dir / "results" / "a.dcm",
        picture_path=store.data_dir / "results" / "a.png",
    )
    done = store.change_job(job.job_id, JobState.DELIVERED, LATER)
    assert done.state is JobState.DELIVERED
    assert done.timings_s == {"segment": 2.5}
    assert done.measurements == {"liver": {"volume_ml": 1500.0}}
    assert done.result_path == store.data_dir / "results" / "a.dcm"
    assert done.updated_at == LATER
    assert [e.event for e in store.audit_of(job.job_id)] == [
        "job.queued",
        "job.running",
        "job.delivering",
        "job.delivered",
    ]


def test_an_illegal_change_is_refused_and_changes_nothing(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    with pytest.raises(IllegalChange, match="queued and cannot become delivered"):
        store.change_job(job.job_id, JobState.DELIVERED, LATER)
    with pytest.raises(UnknownJob):
        store.change_job("no such job", JobState.RUNNING, LATER)
    assert store.get_job(job.job_id) == job


def test_a_parked_job_is_retried_under_a_new_run_number(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.add_deliveries(job.job_id, ["archive", "pacs"], NOON)
    store.record_receipt(job.job_id, Receipt("archive", "kept"), NOON)
    store.park_delivery(job.job_id, "pacs", NOON, error="down")
    assert store.run_number(job.job_id) == 1
    with pytest.raises(IllegalChange):
        store.retry_job(job.job_id, LATER)
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="pacs: down")

    again = store.retry_job(job.job_id, LATER)

    assert again.state is JobState.QUEUED
    assert again.reason == ""
    assert store.run_number(job.job_id) == 2
    archive, pacs = store.deliveries_of(job.job_id)
    assert archive.state is DeliveryState.DELIVERED
    assert pacs.state is DeliveryState.WAITING
    assert store.waiting_since(job.job_id, "pacs") == LATER


def test_a_newer_job_takes_the_place_of_those_that_have_sent_nothing(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    states = {
        "queued": [],
        "delivering": [JobState.RUNNING, JobState.DELIVERING],
        "half delivered": [JobState.RUNNING, JobState.DELIVERING],
    }
    for name, steps in states.items():
        store.add_job(job_of(SERIES, job_id=name))
        store.add_deliveries(name, ["archive", "pacs"], NOON)
        for state in steps:
            store.change_job(name, state, NOON)
    store.add_job(replace(job_of(SERIES, job_id="other model"), model_id="spleen-ct"))
    store.record_receipt("half delivered", Receipt("archive", "kept"), NOON)

    newest = job_of(SERIES, job_id="newest")
    recorded = store.record_decision(
        SERIES, "{}", SeriesState.ACCEPTED, LATER, seen_count=1, jobs=[newest]
    )

    assert recorded is not None
    assert [job.job_id for job in recorded.made] == ["newest"]
    superseded = {j.job_id for j in store.jobs_of(SERIES) if j.state is JobState.SUPERSEDED}
    assert superseded == {"delivering", "queued"}
    earlier = store.latest_delivered_job(SERIES, "liver-ct")
    assert earlier is not None
    assert earlier.job_id == "half delivered"
    assert store.latest_delivered_job(SERIES, "spleen-ct") is None


def test_a_slow_decision_takes_nothing_from_one_about_the_fuller_series(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")
    state = SeriesState.ACCEPTED
    full, partial = job_of(SERIES, job_id="full"), job_of(SERIES, job_id="partial")
    assert store.record_decision(SERIES, "{}", state, NOON, seen_count=2, jobs=[full])

    assert not store.record_decision(SERIES, "{}", state, LATER, seen_count=1, jobs=[partial])

    (job,) = store.jobs_of(SERIES)
    assert (job.job_id, job.state) == ("full", JobState.QUEUED)


def test_sources_take_turns(store: Store) -> None:
    add_instances(store, "1.2.3.1")

    def queue(source: str, *names: str) -> None:
        for name in names:
            store.add_job(replace(job_of(SERIES, job_id=name), source=source))

    queue("CT1", "a1", "a2", "a3", "a4")
    store.change_job("a1", JobState.RUNNING, NOON)
    queue("CT2", "b1", "b2")
    queue("CT3", "c1")

    turns = sorted((job.turn, job.job_id) for job in store.jobs_to_start())
    assert [name for _, name in turns] == ["a2", "b1", "c1", "a3", "b2", "a4"]


def test_deliveries_count_their_attempts(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.add_deliveries(job.job_id, ["pacs"], NOON)
    store.record_attempt(job.job_id, "pacs", NOON, error="no answer", next_try_at=LATER)
    store.add_deliveries(job.job_id, ["pacs", "archive"], NOON)  # not made twice

    assert [d.destination for d in store.waiting_deliveries()] == ["archive", "pacs"]
    pacs = store.get_delivery(job.job_id, "pacs")
    assert pacs is not None
    assert (pacs.attempts, pacs.last_error, pacs.next_try_at) == (1, "no answer", LATER)

    delivered = store.record_receipt(job.job_id, Receipt("pacs", "0x0000"), LATER)
    assert (delivered.state, delivered.attempts) == (DeliveryState.DELIVERED, 2)
    assert delivered.last_error == ""
    # What has been delivered stays delivered, whoever comes late.
    assert store.park_delivery(job.job_id, "pacs", LATER, error="late").state is (
        DeliveryState.DELIVERED
    )
    next_due = store.next_due_delivery()
    assert next_due is not None
    assert next_due.destination == "archive"
    with pytest.raises(UnknownDelivery):
        store.record_receipt(job.job_id, Receipt("nobody", ""), LATER)


def test_a_retrieval_asked_for_twice_is_one_until_it_is_finished(store: Store) -> None:
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


def test_each_series_is_listed_with_what_became_of_it(store: Store) -> None:
    for number, uid in enumerate(("1.1", "1.2", "1.3"), start=1):
        instance = received(sop_instance_uid=f"{uid}.1", series_instance_uid=uid)
        store.add_instance(instance, store.data_dir / uid, 1, NOON + timedelta(seconds=number))
    store.record_decision("1.2", "{}", SeriesState.IGNORED, NOON, 1)
    store.record_decision("1.3", "{}", SeriesState.ACCEPTED, NOON, 1)
    store.add_job(job_of(Uid("1.3")))
    store.change_job(job_of(Uid("1.3")).job_id, JobState.RUNNING, NOON)
    store.change_job(job_of(Uid("1.3")).job_id, JobState.REFUSED, NOON, reason="too few slices")

    listed = store.series_with_outcome()

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


def test_a_decision_and_a_late_instance_at_once_never_lose_the_instance(store: Store) -> None:
    for count in range(1, 11):
        add_instances(store, f"1.2.3.{count}")
        seen = count * 2 - 1
        with ThreadPoolExecutor(2) as threads:
            decided = threads.submit(
                store.record_decision, SERIES, "{}", SeriesState.IGNORED, NOON, seen
            )
            threads.submit(add_instances, store, f"1.2.3.{count}.9").result()
            decided.result()
        # Whichever came first, the series is open for the late instance.
        assert [one.series_instance_uid for one in store.open_series()] == [SERIES]
        assert store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, count * 2)
    series = store.get_series(SERIES)
    assert series is not None
    assert series.instance_count == 20


def test_of_two_who_retry_a_job_at_once_one_does(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.change_job(job.job_id, JobState.PARKED, NOON)

    def retry(_number: int) -> bool:
        try:
            store.retry_job(job.job_id, LATER)
        except IllegalChange:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(retry, range(4))).count(True) == 1
    assert store.run_number(job.job_id) == 2


def test_several_openers_at_once_migrate_once(database_url: str, tmp_path: Path) -> None:
    def open_and_close(_number: int) -> int:
        opened = Store.open(database_url, tmp_path)
        count = len(opened.list_series())
        opened.close()
        return count

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(open_and_close, range(4))) == [0, 0, 0, 0]
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def cleared(store: Store, *, before: datetime = LATER) -> tuple[list[str], list[Path]]:
    """The series that can be cleared, and the files that went with them."""
    gone: list[Path] = []
    uids = [str(series.series_instance_uid) for series in store.clearable_series(before)]
    assert all(store.clear_series(uid, LATER, gone.extend) for uid in uids)
    return uids, gone


def decided(store: Store, state: SeriesState) -> None:
    series = store.get_series(SERIES)
    assert series is not None
    assert store.record_decision(SERIES, "{}", state, NOON, seen_count=series.instance_count)


def test_a_series_that_no_rule_wanted_is_cleared_after_its_time(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")
    assert cleared(store) == ([], [])  # not decided
    decided(store, SeriesState.IGNORED)
    assert cleared(store, before=NOON) == ([], [])  # too young
    uids, gone = cleared(store)
    assert uids == [SERIES]
    assert [path.name for path in gone] == ["1.2.3.1.dcm", "1.2.3.2.dcm"]
    assert store.instances_of(SERIES) == ()
    series = store.get_series(SERIES)
    assert series is not None
    assert (series.instance_count, series.state) == (0, SeriesState.IGNORED)
    assert store.audit_of(SERIES)[-1].event == "series.cleared"
    assert cleared(store) == ([], [])


def test_what_is_not_at_its_end_is_not_cleared(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    decided(store, SeriesState.ACCEPTED)
    for state in ("queued", "running", "delivering", "parked", "queued", "running", "delivering"):
        if state != store.list_jobs()[0].state:
            store.change_job(job.job_id, JobState(state), NOON, result_path=store.data_dir / "r")
        assert cleared(store) == ([], [])
        assert not store.clear_series(SERIES, LATER, lambda _: None)
    store.change_job(job.job_id, JobState.DELIVERED, NOON)
    assert store.request_start(SERIES, NOON)
    assert cleared(store) == ([], [])  # to be decided anew
    decided(store, SeriesState.ACCEPTED)
    _, gone = cleared(store)
    assert [path.name for path in gone] == ["1.2.3.1.dcm", "r"]
    after = store.get_job(job.job_id)
    assert after is not None
    assert (after.state, after.result_path) == (JobState.DELIVERED, None)


def test_a_cleared_series_that_is_sent_again_begins_anew(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    decided(store, SeriesState.IGNORED)
    cleared(store)
    add_instances(store, "1.2.3.1", now=LATER)
    series = store.get_series(SERIES)
    assert series is not None
    assert (series.instance_count, series.state) == (1, SeriesState.RECEIVING)


def test_files_that_cannot_be_removed_leave_the_series_as_it_was(store: Store) -> None:
    def stuck(paths: Collection[Path]) -> None:
        raise Transient("a file cannot be deleted")

    add_instances(store, "1.2.3.1")
    decided(store, SeriesState.IGNORED)
    with pytest.raises(Transient):
        store.clear_series(SERIES, LATER, stuck)
    assert len(store.instances_of(SERIES)) == 1
