"""The contract of the store for monitoring, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from node.domain.delivery import DeliveryKey
from node.domain.job import HELD, Job, JobState
from node.domain.monitoring.alert import AlertChannel, AlertPhase
from node.domain.monitoring.destination_health import (
    DeliveryOutcome,
    DeliveryStage,
    DestinationHealth,
)
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.result_objects import ResultKind, ResultObject
from node.domain.series import SeriesState
from node.store import Store
from node.store.monitoring.activity import Activity
from node.store.monitoring.stage_durations import BUCKETS_S
from node.store.site.workers import MachineStatus
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of

SEND, COMMIT = DeliveryStage.SEND, DeliveryStage.COMMIT
MINUTE = timedelta(minutes=1)
PROBLEM = Problem(
    ProblemKind.DESTINATION_FAILING, "pacs", Urgency.WARNING, "The PACS is down.", "Start it."
)


def add_delivering_job(store: Store, *keys: str, job_id: str = "") -> Job:
    """Adds a job in state DELIVERING with these deliveries."""
    if store.get_series(SERIES) is None:
        add_instances(store, "1.2.3.1")
    job = job_of(SERIES, job_id=job_id)
    assert store.add_job(job)
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.add_deliveries(job.job_id, keys, NOON)
    return store.change_job(job.job_id, JobState.DELIVERING, NOON)


def health(store: Store, name: str = "pacs") -> DestinationHealth:
    return store.destination_health()[name]


def test_failures_in_a_row_are_counted_until_the_destination_answers(store: Store) -> None:
    for minute in range(3):
        store.record_failure("pacs", SEND, f"error {minute}", NOON + minute * MINUTE)
    failing = health(store)
    assert (failing.failing_since, failing.failures) == (NOON, 3)
    assert (failing.last_error, failing.failed_count) == ("error 2", 3)

    assert store.record_answer("pacs", SEND, DeliveryOutcome.DELIVERED, LATER) is None
    answering = health(store)
    assert not answering.is_failing
    assert (answering.failures, answering.last_error) == (0, "")
    assert (answering.delivered_count, answering.failed_count) == (1, 3)
    assert answering.last_answered_at == LATER


def test_deliveries_that_fail_together_are_one_failure_in_a_row(store: Store) -> None:
    for tenths in range(8):
        store.record_failure("pacs", SEND, "down", NOON + timedelta(seconds=0.2 * tenths))
    assert (health(store).failures, health(store).failed_count) == (1, 8)
    store.record_failure("pacs", SEND, "down", NOON + timedelta(seconds=3))
    assert health(store).failures == 2


def test_a_destination_that_refuses_an_object_answers(store: Store) -> None:
    store.record_failure("pacs", SEND, "down", NOON)
    store.record_answer("pacs", SEND, DeliveryOutcome.REFUSED, LATER)
    assert not health(store).is_failing
    assert health(store).refused_count == 1


def test_a_sent_object_does_not_end_the_failures_of_commitment(store: Store) -> None:
    store.record_failure("pacs", COMMIT, "does not commit", NOON)
    store.record_answer("pacs", SEND, None, LATER)
    assert health(store).is_failing
    store.record_answer("pacs", COMMIT, DeliveryOutcome.DELIVERED, LATER)
    assert not health(store).is_failing
    assert health(store).delivered_count == 1


def test_a_sent_object_ends_the_failures_of_sending(store: Store) -> None:
    store.record_failure("pacs", SEND, "down", NOON)
    store.record_answer("pacs", SEND, None, LATER)
    assert not health(store).is_failing
    assert health(store).delivered_count == 0


def test_attention_begins_once_and_its_end_is_returned_once(store: Store) -> None:
    add_delivering_job(store, "pacs")
    assert not store.begin_attention("pacs", NOON), "it does not fail"
    store.record_failure("pacs", SEND, "down", NOON)
    assert store.begin_attention("pacs", LATER)
    assert not store.begin_attention("pacs", LATER)
    assert health(store).needs_attention
    before = store.record_answer("pacs", SEND, DeliveryOutcome.DELIVERED, LATER)
    assert before is not None
    assert before.failing_since == NOON
    assert store.record_answer("pacs", SEND, DeliveryOutcome.DELIVERED, LATER) is None
    assert not store.end_attention("pacs")


def test_the_waiting_deliveries_of_all_objects_are_counted(store: Store) -> None:
    report = str(DeliveryKey("pacs", ResultObject(ResultKind.SR)))
    job = add_delivering_job(store, "pacs", report, "archive")
    store.record_failed_delivery(
        job.job_id, "pacs", NOON, error="down", next_try_at=NOON + 5 * MINUTE
    )
    store.record_failed_delivery(
        job.job_id, report, NOON, error="down", next_try_at=NOON + 2 * MINUTE
    )
    pacs = health(store)
    assert (pacs.waiting, pacs.next_attempt_at) == (2, NOON + 2 * MINUTE)
    assert health(store, "archive").waiting == 1
    store.change_job(job.job_id, JobState.SUPERSEDED, LATER)
    assert store.destination_health() == {}, "the deliveries of an ended job do not wait"


def test_parallel_outcomes_are_all_counted(store: Store) -> None:
    def record(_number: int) -> None:
        store.record_answer("pacs", SEND, DeliveryOutcome.DELIVERED, NOON)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(record, range(40)))
    assert health(store).delivered_count == 40


def test_a_problem_has_one_open_alert_however_many_start_it(store: Store) -> None:
    def start(_number: int) -> bool:
        return store.start_alert(PROBLEM, [AlertChannel.MAIL], NOON) is not None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(start, range(16))) == 1
    (alert,) = store.open_alerts()
    assert (alert.key, alert.text, alert.urgency) == (
        PROBLEM.key,
        PROBLEM.text,
        PROBLEM.urgency,
    )

    def end(_number: int) -> bool:
        return store.end_alert(alert.alert_id, LATER) is not None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(end, range(16))) == 1
    assert store.open_alerts() == ()
    assert store.start_alert(PROBLEM, [], LATER) is not None, "it may begin again"


def test_a_message_is_claimed_once_until_its_claim_ends(store: Store) -> None:
    store.start_alert(PROBLEM, [AlertChannel.MAIL], NOON)
    channels = [AlertChannel.MAIL]

    def claim(_number: int) -> bool:
        return store.claim_message(channels, NOON, NOON + 5 * MINUTE) is not None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(claim, range(16))) == 1
    again = store.claim_message(channels, NOON + 6 * MINUTE, NOON + 11 * MINUTE)
    assert again is not None, "the process that claimed it has died"
    store.record_message_sent(again.message_id, LATER)
    assert store.claim_message(channels, NOON + 60 * MINUTE, NOON + 61 * MINUTE) is None


def test_only_messages_of_configured_channels_are_claimed(store: Store) -> None:
    store.start_alert(PROBLEM, [AlertChannel.MAIL], NOON)
    assert store.claim_message([AlertChannel.WEBHOOK], NOON, LATER) is None
    message = store.claim_message([AlertChannel.MAIL], NOON, LATER)
    assert message is not None
    assert (message.phase, message.alert.subject) == (AlertPhase.STARTED, "pacs")


def test_stage_durations_are_summed_in_buckets(store: Store) -> None:
    for seconds in (0.05, 0.1, 2.0, 100_000.0):
        store.add_stage_durations("liver-ct", {"segment": seconds, "read": 1.0})
    read, segment = store.stage_durations()
    assert (read.stage, read.count, read.sum_s) == ("read", 4, 4.0)
    assert segment.count == 4
    assert segment.sum_s == pytest.approx(100_002.15)
    assert len(segment.bucket_counts) == len(BUCKETS_S) + 1
    assert segment.bucket_counts[0] == 2, "a bound belongs to its bucket"
    assert segment.bucket_counts[BUCKETS_S.index(3.0)] == 1
    assert segment.bucket_counts[-1] == 1


def test_parallel_stage_durations_are_all_counted(store: Store) -> None:
    def add(_number: int) -> None:
        store.add_stage_durations("liver-ct", {"segment": 1.0, "read": 1.0})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(24)))
    assert {histogram.count for histogram in store.stage_durations()} == {24}


def test_the_activity_of_a_period_is_counted(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    for number, state in enumerate((JobState.REFUSED, JobState.PARKED)):
        job = job_of(SERIES, job_id=f"{number:032d}")
        store.add_job(job)
        store.change_job(job.job_id, JobState.RUNNING, NOON)
        store.change_job(job.job_id, state, LATER, reason="a reason")
    delivered = add_delivering_job(store, job_id="d" * 32)
    store.change_job(delivered.job_id, JobState.DELIVERED, NOON)
    assert store.activity_since(NOON) == Activity(1, 1, 1, 1)
    assert store.activity_since(LATER) == Activity(0, 0, 1, 1)


def test_the_turnaround_counts_from_the_last_image_and_leaves_out_repeated_runs(
    store: Store,
) -> None:
    add_instances(store, "1.2.3.1", now=NOON)
    first = add_delivering_job(store, job_id="a" * 32)
    store.change_job(first.job_id, JobState.DELIVERED, NOON + 3 * MINUTE)
    assert store.turnarounds_s(NOON) == [180.0]
    assert store.turnarounds_s(NOON + 4 * MINUTE) == []
    store.rerun_job(first.job_id, NOON + 4 * MINUTE)
    store.change_job(first.job_id, JobState.RUNNING, NOON + 5 * MINUTE)
    store.change_job(first.job_id, JobState.DELIVERING, NOON + 5 * MINUTE)
    store.change_job(first.job_id, JobState.DELIVERED, NOON + 6 * MINUTE)
    assert store.turnarounds_s(NOON) == []


def test_the_last_image_of_each_sender_is_found(store: Store) -> None:
    add_instances(store, "1.2.3.1", now=NOON)
    add_instances(store, "1.2.3.2", now=LATER)
    (sender,) = store.senders_since(NOON)
    assert (sender.origin, sender.last_received_at) == ("c-store MODALITY1", LATER)
    assert store.senders_since(LATER + MINUTE) == []


def test_the_oldest_queued_job_waits_since_it_was_queued(store: Store) -> None:
    assert store.oldest_queued_at() is None
    add_instances(store, "1.2.3.1")
    store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, NOON, seen_count=1)
    job = job_of(SERIES)
    store.add_job(job)
    assert store.oldest_queued_at() == NOON
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="stopped")
    store.retry_job(job.job_id, LATER)
    assert store.oldest_queued_at() == LATER


def test_parked_jobs_are_listed_and_held_ones_marked(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    for number, reason in enumerate(("the disk is full", f"{HELD}several components.")):
        job = job_of(SERIES, job_id=f"{number:032d}")
        store.add_job(job)
        store.change_job(job.job_id, JobState.PARKED, NOON + number * MINUTE, reason=reason)
    assert [job.is_held for job in store.parked_jobs(5)] == [False, True]
    assert len(store.parked_jobs(1)) == 1


def test_finished_jobs_have_the_volumes_of_complete_organs(store: Store) -> None:
    job = add_delivering_job(store)
    measurements: dict[str, dict[str, float | bool]] = {
        "Liver": {"volume_ml": 1500.0},
        "Spleen": {"volume_ml": 100.0, "cut_by_series": True},
        "Pancreas": {"volume_ml": 0.0},
    }
    store.change_job(
        job.job_id,
        JobState.DELIVERED,
        LATER,
        measurements=measurements,
        timings_s={"segment": 12.0},
    )
    (finished,) = store.finished_jobs(NOON)
    assert (finished.model, finished.run_s) == ("liver-ct 1.0", 12.0)
    assert finished.volumes_ml == {"Liver": 1500.0}
    assert store.finished_jobs(LATER + MINUTE) == []


def test_a_dead_worker_is_lost_until_its_slot_is_taken_again(store: Store) -> None:
    store.add_worker("one:1", "one", NOON)
    status = MachineStatus("host", "CPU", 8, 4)
    store.record_machine_status("one:1", status)
    assert [worker.machine for worker in store.workers()] == [status]
    store.remove_dead_worker("one:1", NOON)
    store.remove_dead_worker("one:1", LATER)
    assert [(lost.slot, lost.lost_at) for lost in store.lost_workers(NOON)] == [("one", NOON)]
    assert store.lost_workers(LATER) == []
    store.add_worker("one:2", "one", LATER)
    assert store.lost_workers(NOON) == []
    store.remove_worker("one:2")
    assert store.lost_workers(NOON) == [], "it left by itself"


def test_old_alerts_are_deleted_with_their_messages(store: Store) -> None:
    ended = store.start_alert(PROBLEM, [AlertChannel.MAIL], NOON)
    assert ended is not None
    store.end_alert(ended.alert_id, NOON)
    store.start_alert(replace(PROBLEM, subject="archive"), [AlertChannel.MAIL], NOON)
    store.remove_old_alerts(LATER)
    assert [alert.subject for alert in store.latest_alerts(9)] == ["archive"]
    message = store.claim_message([AlertChannel.MAIL], LATER, LATER)
    assert message is not None
    assert message.alert.subject == "archive"
