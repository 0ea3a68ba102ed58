"""The contract of the store for jobs and deliveries, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from node.domain.delivery import DeliveryState, Receipt
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, ReplacedResult
from node.domain.queues.discarding import Discarding
from node.domain.result_objects import SEG, ObjectUids
from node.domain.series import SeriesPart, SeriesState
from node.store import IllegalChange, Store, UnknownDelivery, UnknownJob
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of


def test_a_job_is_read_as_it_was_added(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = replace(
        job_of(SERIES),
        replaces=ReplacedResult(Uid("2.25.1"), 7, "0.9"),
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
    assert store.queued_jobs() == [(job, 1)]


def test_a_job_keeps_what_its_state_changes_record(store: Store) -> None:
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
    assert [e.event for e in store.history_of(job.job_id)] == [
        "job.queued",
        "job.running",
        "job.delivering",
        "job.delivered",
    ]


def test_an_illegal_state_change_is_refused_and_changes_nothing(store: Store) -> None:
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
    store.record_receipt(job.job_id, "archive", Receipt("archive", "kept"), NOON)
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


def test_a_newer_job_supersedes_jobs_that_have_sent_nothing(store: Store) -> None:
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
    store.record_receipt("half delivered", "archive", Receipt("archive", "kept"), NOON)

    newest = job_of(SERIES, job_id="newest")
    recorded = store.record_decision(
        SERIES, "{}", SeriesState.ACCEPTED, LATER, seen_count=1, jobs=[newest]
    )

    assert recorded is not None
    assert [job.job_id for job in recorded.new_jobs] == ["newest"]
    superseded = {j.job_id for j in store.jobs_of(SERIES) if j.state is JobState.SUPERSEDED}
    assert superseded == {"delivering", "queued"}
    earlier = store.previous_result("newest", SERIES, "liver-ct")
    assert earlier is not None
    assert earlier.sop_instance_uid == ObjectUids("half delivered", SEG).sop_instance_uid()
    assert store.previous_result("newest", SERIES, "spleen-ct") is None


PART = SeriesPart("AcquisitionNumber", "1", 1, 2, 24, 24, "first")


def test_the_jobs_of_the_parts_of_a_series_stand_beside_each_other(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    whole = job_of(SERIES, job_id="whole")
    second = replace(PART, value="2", number=2, digest="second")
    parts = [
        replace(
            job_of(SERIES, job_id=f"part{part.number}"), part=part, rules=("a", "b"), rule="a, b"
        )
        for part in (PART, second)
    ]
    state = SeriesState.ACCEPTED
    store.record_decision(SERIES, "{}", state, NOON, seen_count=1, jobs=[whole])
    recorded = store.record_decision(SERIES, "{}", state, LATER, seen_count=1, jobs=parts)
    again = store.record_decision(SERIES, "{}", state, LATER, seen_count=1, jobs=parts)

    assert recorded is not None
    assert again is not None
    assert (len(recorded.new_jobs), len(again.new_jobs)) == (2, 0)
    found = {job.job_id: job for job in store.jobs_of(SERIES)}
    assert found["whole"].state is JobState.SUPERSEDED
    for job in parts:
        assert replace(found[job.job_id], turn=0) == job


def test_a_result_replaces_that_of_the_same_part_or_the_same_images(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    second = replace(PART, value="2", number=2, digest="second")
    whole = replace(job_of(SERIES, job_id="whole"), series_digest=PART.digest)
    for job in (whole, replace(job_of(SERIES, job_id="second"), part=second)):
        store.add_job(job)
        store.add_deliveries(job.job_id, ["pacs"], NOON)
        for state in (JobState.RUNNING, JobState.DELIVERING):
            store.change_job(job.job_id, state, NOON)
        store.record_receipt(job.job_id, "pacs", Receipt("pacs", "kept"), NOON)

    def replaced(part: SeriesPart | None) -> str:
        found = store.previous_result("new", SERIES, "liver-ct", part)
        return "" if found is None else found.sop_instance_uid

    uids = {name: ObjectUids(name, SEG).sop_instance_uid() for name in ("whole", "second")}
    assert replaced(None) == uids["whole"]
    assert replaced(replace(second, digest="grown", slice_count=30)) == uids["second"]
    assert replaced(replace(second, keyword="KVP", value="80")) == uids["second"]
    assert replaced(PART) == uids["whole"]
    assert replaced(replace(PART, value="3", digest="third")) == ""


def test_an_outdated_decision_changes_nothing(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")
    state = SeriesState.ACCEPTED
    full, partial = job_of(SERIES, job_id="full"), job_of(SERIES, job_id="partial")
    assert store.record_decision(SERIES, "{}", state, NOON, seen_count=2, jobs=[full])

    assert not store.record_decision(SERIES, "{}", state, LATER, seen_count=1, jobs=[partial])

    (job,) = store.jobs_of(SERIES)
    assert (job.job_id, job.state) == ("full", JobState.QUEUED)


def test_sources_are_served_in_rotation(store: Store) -> None:
    add_instances(store, "1.2.3.1")

    def queue(source: str, *names: str) -> None:
        for name in names:
            store.add_job(replace(job_of(SERIES, job_id=name), source=source))

    queue("CT1", "a1", "a2", "a3", "a4")
    store.change_job("a1", JobState.RUNNING, NOON)
    queue("CT2", "b1", "b2")
    queue("CT3", "c1")

    turns = sorted((job.turn, job.job_id) for job, _ in store.queued_jobs())
    assert [name for _, name in turns] == ["a2", "b1", "c1", "a3", "b2", "a4"]


def waiting(store: Store, job: Job) -> list[str]:
    """The destinations that wait for a delivery of the job."""
    deliveries = store.deliveries_of(job.job_id)
    return sorted(d.destination for d in deliveries if d.state is DeliveryState.WAITING)


def test_deliveries_count_their_attempts(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.add_deliveries(job.job_id, ["pacs"], NOON)
    store.record_failed_delivery(job.job_id, "pacs", NOON, error="no answer", next_try_at=LATER)
    store.add_deliveries(job.job_id, ["pacs", "archive"], NOON)  # not added twice

    assert waiting(store, job) == ["archive", "pacs"]
    pacs = store.get_delivery(job.job_id, "pacs")
    assert pacs is not None
    assert (pacs.attempts, pacs.last_error, pacs.next_try_at) == (1, "no answer", LATER)

    delivered = store.record_receipt(job.job_id, "pacs", Receipt("pacs", "0x0000"), LATER)
    assert (delivered.state, delivered.attempts) == (DeliveryState.DELIVERED, 2)
    assert delivered.last_error == ""
    # A delivered result stays delivered, whatever arrives late.
    assert store.park_delivery(job.job_id, "pacs", LATER, error="late").state is (
        DeliveryState.DELIVERED
    )
    assert waiting(store, job) == ["archive"]
    with pytest.raises(UnknownDelivery):
        store.record_receipt(job.job_id, "nobody", Receipt("nobody", ""), LATER)


def test_of_concurrent_retries_exactly_one_succeeds(store: Store) -> None:
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


def test_a_discarded_job_keeps_who_discarded_it_and_why(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    why = Discarding.of(" repeated\n scan ", "roe")
    with pytest.raises(IllegalChange):
        store.discard_job(job.job_id, why, NOON)
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="the disk is full")
    discarded = store.discard_job(job.job_id, why, LATER)
    assert (discarded.state, discarded.reason) == (
        JobState.DISCARDED,
        "discarded by roe: repeated scan",
    )
    *_, parked, last = store.history_of(job.job_id)
    assert (parked.event, parked.detail) == ("job.parked", "the disk is full")
    assert (last.event, last.detail) == ("job.discarded", "discarded by roe: repeated scan")


def test_the_events_of_a_series_and_its_jobs_are_in_the_order_of_time(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = replace(job_of(SERIES), created_at=NOON)
    accepted = SeriesState.ACCEPTED
    assert store.record_decision(SERIES, '{"matches": []}', accepted, NOON, 1, jobs=[job])
    store.change_job(job.job_id, JobState.RUNNING, LATER)
    store.add_event(LATER, SERIES, "series.first")
    store.add_event(LATER, job.job_id, "job.second")
    store.add_event(NOON, job.job_id, "job.early")  # after the clock was set back
    events = [event.event for event in store.history_of_all([SERIES, job.job_id])]
    assert events == [
        "series.accepted",
        "job.queued",
        "job.early",
        "job.running",
        "series.first",
        "job.second",
    ]
