"""The contract of the store for queues, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from node.domain.delivery import Delivery, DeliveryState, Receipt
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.queues.pause import INFERENCE, Pause, Queue
from node.domain.queues.selection import DeliveryName, DeliverySelection, Interface
from node.store import IllegalChange, Store
from node.store.commitment.requested import RequestedCommitment
from node.store.queues.pauses import QUEUES_SUBJECT
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of

PACS = Queue.of_destination("pacs")
HOUR = timedelta(hours=1)
CLI = Interface.CLI


def add_delivering(store: Store, *keys: str, job_id: str = "") -> Job:
    """Adds a job in state DELIVERING with these deliveries and a result."""
    if store.get_series(SERIES) is None:
        add_instances(store, "1.2.3.1")
    job = job_of(SERIES, job_id=job_id)
    assert store.add_job(job)
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.add_deliveries(job.job_id, keys, NOON)
    result = store.data_dir / "results" / "seg.dcm"
    return store.change_job(job.job_id, JobState.DELIVERING, NOON, result_path=result)


def delivery(store: Store, job: Job, key: str) -> Delivery:
    found = store.get_delivery(job.job_id, key)
    assert found is not None
    return found


def state(store: Store, job: Job) -> JobState:
    found = store.get_job(job.job_id)
    assert found is not None
    return found.state


def names(job: Job, *keys: str) -> list[DeliveryName]:
    return [DeliveryName(job.job_id, key) for key in keys]


def test_a_discarded_delivery_is_final_whatever_its_running_attempt_records(store: Store) -> None:
    job = add_delivering(store, "pacs", "archive")
    (change,) = store.discard_deliveries(names(job, "pacs"), LATER, CLI, "wrong study")
    assert not change.refusal
    store.record_failed_delivery(job.job_id, "pacs", LATER, error="down", next_try_at=LATER)
    store.park_delivery(job.job_id, "pacs", LATER, error="down")
    store.record_receipt(job.job_id, "pacs", Receipt("pacs", "taken"), LATER)

    discarded = delivery(store, job, "pacs")
    assert (discarded.state, discarded.receipt) == (DeliveryState.DISCARDED, "wrong study")
    assert not discarded.has_arrived
    events = [(e.event, e.detail) for e in store.history_of(job.job_id)][-2:]
    assert events == [
        ("delivery.discarded", "pacs: by cli: wrong study"),
        (
            "delivery.delivered",
            "pacs: taken; it arrived after the delivery was discarded",
        ),
    ]


def test_an_earlier_version_reads_a_discarded_delivery_as_ended(store: Store) -> None:
    job = add_delivering(store, "pacs")
    store.discard_deliveries(names(job, "pacs"), LATER, CLI, "wrong study")
    with store._database.reading() as connection:
        query = "SELECT state, receipt FROM deliveries"
        row = connection.exec_driver_sql(query).one()
    assert tuple(row) == ("delivered", "not accepted, discarded: wrong study")


def test_only_deliveries_that_wait_or_were_given_up_can_be_changed(store: Store) -> None:
    job = add_delivering(store, "pacs", "archive")
    store.record_receipt(job.job_id, "archive", Receipt("archive", "kept"), NOON)
    chosen = [*names(job, "archive", "pacs", "nowhere"), DeliveryName("none", "pacs")]
    changes = store.retry_deliveries(chosen, LATER, CLI)
    assert {str(change.name): change.refusal for change in changes} == {
        f"{job.job_id}:archive": "it is delivered",
        f"{job.job_id}:nowhere": "there is no such delivery",
        f"{job.job_id}:pacs": "",
        "none:pacs": "there is no such delivery",
    }
    store.change_job(job.job_id, JobState.SUPERSEDED, LATER)
    (refused,) = store.discard_deliveries(names(job, "pacs"), LATER, CLI, "old")
    assert refused.refusal == "its job is superseded"


def test_a_delivery_that_was_given_up_is_retried_while_another_waits(store: Store) -> None:
    job = add_delivering(store, "pacs", "archive")
    store.park_delivery(job.job_id, "pacs", NOON, error="down")
    store.retry_deliveries(names(job, "pacs"), LATER, CLI)
    retried = delivery(store, job, "pacs")
    assert (retried.state, retried.next_try_at) == (DeliveryState.WAITING, LATER)
    assert store.waiting_since(job.job_id, "pacs") == LATER
    assert state(store, job) is JobState.DELIVERING
    (request,) = store.delivery_requests(10)
    assert (request.name, request.requested_at) == (*names(job, "pacs"), LATER)
    store.retry_deliveries(names(job, "pacs"), LATER + HOUR, CLI)
    store.close_request(request)
    assert len(store.delivery_requests(10)) == 1, "the later request stays"


def test_a_parked_job_continues_with_one_retried_delivery_and_keeps_the_others(
    store: Store,
) -> None:
    job = add_delivering(store, "pacs", "archive")
    for key in ("pacs", "archive"):
        store.park_delivery(job.job_id, key, NOON, error="down")
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="not delivered to ...")
    store.retry_deliveries(names(job, "pacs"), LATER, CLI)
    assert state(store, job) is JobState.DELIVERING
    assert delivery(store, job, "archive").state is DeliveryState.PARKED


def test_a_parked_job_stays_parked_until_its_last_parked_delivery_is_discarded(
    store: Store,
) -> None:
    job = add_delivering(store, "pacs", "archive")
    for key in ("pacs", "archive"):
        store.park_delivery(job.job_id, key, NOON, error="down")
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="not delivered to ...")
    store.discard_deliveries(names(job, "pacs"), LATER, CLI, "not needed")
    parked = store.get_job(job.job_id)
    assert parked is not None
    assert (parked.state, parked.reason) == (
        JobState.PARKED,
        "the segmentation was not delivered to archive: down",
    )
    store.discard_deliveries(names(job, "archive"), LATER, CLI, "not needed")
    assert state(store, job) is JobState.DELIVERING, "the worker ends it"
    assert {request.name.key for request in store.delivery_requests(10)} == {"pacs", "archive"}


def test_a_redirected_delivery_waits_for_the_other_destination(store: Store) -> None:
    job = add_delivering(store, "sr@pacs")
    store.redirect_deliveries(names(job, "sr@pacs"), "archive", LATER, CLI)
    assert delivery(store, job, "sr@pacs").receipt == "redirected to archive"
    assert delivery(store, job, "sr@archive").state is DeliveryState.WAITING
    assert store.history_of(job.job_id)[-1].detail == "sr@pacs: to archive, by cli"
    store.redirect_deliveries(names(job, "sr@archive"), "pacs", LATER + HOUR, CLI)
    back = delivery(store, job, "sr@pacs")
    assert (back.state, back.receipt) == (DeliveryState.WAITING, "")


def test_a_redirect_to_a_destination_that_has_the_object_sends_it_no_second_time(
    store: Store,
) -> None:
    job = add_delivering(store, "pacs", "archive")
    store.record_receipt(job.job_id, "archive", Receipt("archive", "kept"), NOON)
    store.redirect_deliveries(names(job, "pacs"), "archive", LATER, CLI)
    assert delivery(store, job, "archive").state is DeliveryState.DELIVERED


def test_a_newer_job_supersedes_one_whose_only_ended_delivery_was_discarded(store: Store) -> None:
    job = add_delivering(store, "pacs", "archive")
    store.discard_deliveries(names(job, "pacs"), LATER, CLI, "wrong study")
    newer = job_of(SERIES, job_id="newer")
    series = store.get_series(SERIES)
    assert series is not None
    assert store.record_decision(SERIES, "{}", series.state, LATER, seen_count=1, jobs=[newer])
    assert state(store, job) is JobState.SUPERSEDED


def test_open_deliveries_are_selected_by_destination_state_and_job(store: Store) -> None:
    first = add_delivering(store, "pacs", "sr@pacs", "archive", job_id="1")
    second = add_delivering(store, "pacs", job_id="2")
    store.park_delivery("2", "pacs", NOON, error="down")
    store.record_receipt("1", "archive", Receipt("archive", "kept"), NOON)

    def selected(selection: DeliverySelection) -> set[str]:
        return {str(found.name) for found in store.open_deliveries(selection)}

    assert selected(DeliverySelection()) == {"1:pacs", "1:sr@pacs", "2:pacs"}
    parked = frozenset({DeliveryState.PARKED})
    assert selected(DeliverySelection("pacs", parked)) == {"2:pacs"}
    assert selected(DeliverySelection("pacs", job_ids=("1",))) == {"1:pacs", "1:sr@pacs"}
    assert selected(DeliverySelection("archive")) == set()
    wanted = (*names(first, "sr@pacs"), *names(second, "pacs"), *names(first, "archive"))
    assert selected(DeliverySelection(names=tuple(wanted))) == {"1:sr@pacs", "2:pacs"}
    assert len(store.open_deliveries(DeliverySelection("pacs"), limit=2)) == 2


def test_the_queue_of_a_destination_sums_up_all_objects(store: Store) -> None:
    add_delivering(store, "pacs", "sr@pacs", job_id="1")
    add_delivering(store, "old", job_id="2")
    store.record_failed_delivery("1", "pacs", NOON, error="down", next_try_at=NOON + HOUR)
    store.park_delivery("1", "sr@pacs", NOON, error="refused")
    pacs, archive, old = store.destination_queues(["pacs", "archive"])
    assert (pacs.destination, pacs.waiting, pacs.parked) == ("pacs", 1, 1)
    assert (pacs.oldest_since, pacs.next_attempt_at) == (NOON, NOON + HOUR)
    assert pacs.error in {"down", "refused"}
    assert (archive.waiting, archive.oldest_since) == (0, None)
    assert (old.destination, old.waiting) == ("old", 1), "no longer in the configuration"


def test_a_queue_counts_what_is_sent_and_not_confirmed(store: Store) -> None:
    add_delivering(store, "pacs", job_id="1")
    store.await_commitment(RequestedCommitment(Uid("1.2.3"), "1", "pacs", "pacs", NOON), "taken")
    (pacs,) = store.destination_queues(["pacs"])
    assert (pacs.waiting, pacs.committing) == (0, 1)


def test_a_retry_keeps_the_age_of_a_delivery_that_waits(store: Store) -> None:
    job = add_delivering(store, "pacs", "archive")
    store.park_delivery(job.job_id, "archive", NOON, error="refused")
    store.retry_deliveries(names(job, "pacs", "archive"), LATER, CLI)
    assert store.waiting_since(job.job_id, "pacs") == NOON
    assert store.waiting_since(job.job_id, "archive") == LATER, "it was given up"


def test_a_pause_is_stored_once_and_resumed_once(store: Store) -> None:
    pause = Pause(PACS, NOON, CLI, "the PACS is upgraded", "roe")
    assert store.pause_queue(pause)
    assert not store.pause_queue(Pause(PACS, LATER, Interface.API))
    assert store.pauses() == {PACS: pause}
    assert not store.is_inference_paused()
    assert store.pause_queue(Pause(INFERENCE, LATER, CLI))
    assert store.is_inference_paused()
    assert store.resume_queue(PACS, LATER, Interface.CONSOLE)
    assert not store.resume_queue(PACS, LATER, Interface.CONSOLE)
    assert list(store.pauses()) == [INFERENCE]
    assert [(e.event, e.detail) for e in store.history_of(QUEUES_SUBJECT)] == [
        ("queue.paused", "the destination pacs, by roe: the PACS is upgraded"),
        ("queue.paused", "the inference, by cli"),
        ("queue.resumed", "the destination pacs, by console"),
    ]


def test_the_time_of_a_pause_does_not_count_for_the_age_of_a_delivery(store: Store) -> None:
    add_delivering(store, "pacs", "archive", job_id="1")
    store.pause_queue(Pause(PACS, NOON + HOUR, CLI))
    store.add_deliveries("1", ["sr@pacs"], NOON + 2 * HOUR)
    store.resume_queue(PACS, NOON + 5 * HOUR, CLI)
    since = {key: store.waiting_since("1", key) for key in ("pacs", "sr@pacs", "archive")}
    assert since == {"pacs": NOON + 4 * HOUR, "sr@pacs": NOON + 5 * HOUR, "archive": NOON}
    assert {request.name.key for request in store.delivery_requests(10)} == {"pacs", "sr@pacs"}


def test_an_attempt_is_claimed_by_one_workflow_until_it_has_an_outcome(store: Store) -> None:
    job = add_delivering(store, "pacs")
    with ThreadPoolExecutor(4) as threads:
        claimed = list(threads.map(lambda w: store.claim_attempt(job.job_id, "pacs", 1, w), "abcd"))
    assert claimed.count(True) == 1
    winner = "abcd"[claimed.index(True)]
    assert store.claim_attempt(job.job_id, "pacs", 1, winner), "after a restart"
    assert store.claimant_of(job.job_id, "pacs") == winner
    store.record_failed_delivery(job.job_id, "pacs", NOON, error="down", next_try_at=LATER)
    assert store.claimant_of(job.job_id, "pacs") is None
    assert not store.claim_attempt(job.job_id, "pacs", 1, "late")
    assert store.claim_attempt(job.job_id, "pacs", 2, "next")
    store.release_claim(job.job_id, "pacs", "next")
    assert store.claim_attempt(job.job_id, "pacs", 2, "another")


@pytest.mark.parametrize("key", ["pacs", "sr@pacs"])
def test_a_paused_destination_gets_no_attempt(store: Store, key: str) -> None:
    job = add_delivering(store, key)
    store.pause_queue(Pause(PACS, NOON, CLI))
    assert not store.claim_attempt(job.job_id, key, 1, "a")
    store.resume_queue(PACS, LATER, CLI)
    assert store.claim_attempt(job.job_id, key, 1, "a")


def test_a_fallback_is_not_added_after_its_delivery_was_discarded(store: Store) -> None:
    job = add_delivering(store, "pacs")
    store.discard_deliveries(names(job, "pacs"), LATER, CLI, "wrong study")
    receipt = Receipt("pacs", "not accepted, summary sent instead: no SEG")
    store.record_replaced(job.job_id, "pacs", ["summary@pacs"], receipt, LATER)
    assert [d.key for d in store.deliveries_of(job.job_id)] == ["pacs"]


def test_a_job_does_not_end_while_a_person_retries_a_delivery_of_it(store: Store) -> None:
    job = add_delivering(store, "pacs")
    store.park_delivery(job.job_id, "pacs", NOON, error="down")
    store.retry_deliveries(names(job, "pacs"), LATER, CLI)
    with pytest.raises(IllegalChange, match="a delivery of job"):
        store.change_job(job.job_id, JobState.PARKED, LATER, when_settled=True)
    assert state(store, job) is JobState.DELIVERING
