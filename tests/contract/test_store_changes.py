"""Each change that makes work for a worker is noticed, on both databases."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.queues.pause import INFERENCE, Pause
from node.domain.queues.selection import DeliveryName, Interface
from node.domain.series import SeriesState
from node.store import Store
from node.store.changes import DatabaseChanges
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of, received
from tests.support.waiting import until

Change = Callable[[Store], object]


def a_series_with_a_parked_job(store: Store) -> None:
    job = job_of(SERIES)
    add_instances(store, "1.9.1")
    store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, NOON, 1, jobs=[job])
    store.add_deliveries(job.job_id, ["archive"], NOON)
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.change_job(job.job_id, JobState.DELIVERING, NOON, result_path=store.data_dir / "seg.dcm")
    store.park_delivery(job.job_id, "archive", NOON, error="refused")
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="refused")


def a_retry(store: Store) -> None:
    name = DeliveryName(job_of(SERIES).job_id, "archive")
    (change,) = store.retry_deliveries([name], LATER, "anna")
    assert not change.refusal


CHANGES: dict[str, Change] = {
    "series": lambda store: store.add_instance(
        received(sop_instance_uid="1.8.1", series_instance_uid="1.8"), store.data_dir, 1, LATER
    ),
    "late image": lambda store: add_instances(store, "1.9.2"),
    "start": lambda store: store.request_start(SERIES, LATER),
    "job": lambda store: store.add_job(job_of(SERIES, job_id="another")),
    "retry of a delivery": a_retry,
    "state of a job": lambda store: store.change_job("another", JobState.RUNNING, LATER),
    "pause": lambda store: store.pause_queue(Pause(INFERENCE, LATER, Interface.CLI, "")),
    "retrieval": lambda store: store.request_retrieval("pacs", Uid("1.2"), Uid("1.3"), LATER),
    "commitment": lambda store: store.request_commitment(Uid("1.4"), "CT1", [], LATER),
}


@dataclass
class Heard:
    """The changes of a store, and whether one was reported."""

    changes: DatabaseChanges
    reported: threading.Event = field(default_factory=threading.Event)
    version: int = 0

    def settle(self) -> None:
        """Waits until all that has happened so far was noticed."""
        self.reported.clear()
        self.version = self.changes.version()

    def has_changed(self) -> bool:
        """Whether there is a change since then."""
        return self.changes.version() != self.version


@contextmanager
def listening(store: Store) -> Iterator[Heard]:
    heard = Heard(store.changes())
    heard.changes.listen(heard.reported.set)
    try:
        if not store._database.is_sqlite:
            assert heard.reported.wait(10.0), "it reports what may have changed before"
        yield heard
    finally:
        heard.changes.close()


def test_what_makes_work_is_noticed(store: Store) -> None:
    a_series_with_a_parked_job(store)
    with listening(store) as heard:
        for name, change in CHANGES.items():
            heard.settle()
            assert not heard.has_changed(), name
            change(store)
            until(heard.has_changed, 10.0, name)
            if not store._database.is_sqlite:
                assert heard.reported.wait(10.0), name


def test_a_further_image_of_a_series_notifies_nobody(store: Store) -> None:
    if store._database.is_sqlite:
        return  # its counter counts each commit
    add_instances(store, "1.9.1")
    with listening(store) as heard:
        heard.settle()
        add_instances(store, "1.9.2", "1.9.3")
        store.add_event(LATER, "node", "test")
        number = heard.version
        CHANGES["retrieval"](store)
        assert heard.reported.wait(10.0)
        assert heard.changes.version() == number + 1, "the images before it are no change"


def test_without_a_connection_each_answer_may_be_a_change(store: Store) -> None:
    changes = store.changes()
    first, second = changes.version(), changes.version()
    assert (first == second) is store._database.is_sqlite
    changes.close()


def test_a_lost_connection_is_opened_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if store._database.is_sqlite:
        return  # its file needs no connection to a server
    monkeypatch.setattr("node.store.changes._RECONNECT_SECONDS", 0.05)
    with listening(store) as heard:
        heard.settle()
        with store._database.reading() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
            )
        assert heard.reported.wait(10.0), "what has changed meanwhile"
        heard.settle()
        CHANGES["retrieval"](store)
        assert heard.reported.wait(10.0)
