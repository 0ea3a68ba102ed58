"""Attempts at deliveries give the health of the destination, and one log line for many attempts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.delivery.destination import UnreadableResult
from node.domain.errors import NotAccepted, Rejected, RejectionReason, Transient
from node.domain.job import JobState
from node.domain.monitoring.destination_health import AttentionPolicy, DestinationHealth
from node.health.destinations import DestinationWatch
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

DOWN = Transient("the PACS is down")
IMMEDIATELY = AttentionPolicy(1, timedelta(hours=1))


def health(node: WorkerParts) -> DestinationHealth:
    return node.store.destination_health()["pacs"]


def run(node: WorkerParts) -> None:
    node.receive()
    node.poll()


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[WorkerParts]:
    """A worker whose PACS is down."""
    made = WorkerParts(tmp_path)
    made.pacs.answers += [DOWN] * 10_000
    made.start()
    run(made)
    until(lambda: "pacs" in made.store.destination_health() and health(made).failures, 20, "it")
    yield made
    made.stop()


def test_an_unreachable_destination_is_logged_once_however_often_it_fails(
    failing: WorkerParts,
) -> None:
    watches = [DestinationWatch(failing.store, IMMEDIATELY, failing.now) for _ in range(2)]
    with capture_logs() as logs:
        for attempts in (3, 6):
            until(lambda: health(failing).failed_count >= attempts, 20, "attempts")  # noqa: B023
            for watch in watches:
                watch.poll()
        assert health(failing).needs_attention
        failing.pacs.answers.clear()
        failing.job_in(JobState.DELIVERED)
        until(lambda: not health(failing).is_failing, 20, "the recovery to be recorded")
        for watch in watches:
            watch.poll()
    events = [(log["log_level"], log["event"]) for log in logs if "destination" in log["event"]]
    assert events == [("warning", "destination.failing"), ("info", "destination.recovered")]
    warning = next(log for log in logs if log["event"] == "destination.failing")
    assert (warning["destination"], warning["error"]) == ("pacs", str(DOWN))


def test_a_destination_that_nobody_waits_for_needs_no_attention(failing: WorkerParts) -> None:
    watch = DestinationWatch(failing.store, IMMEDIATELY, failing.now)
    watch.poll()
    assert health(failing).needs_attention
    job = failing.jobs()[-1]
    failing.store.change_job(job.job_id, JobState.SUPERSEDED, failing.now())
    with capture_logs() as logs:
        watch.poll()
        watch.poll()
    assert [log["event"] for log in logs] == ["destination.unused"]
    assert health(failing).attention_since is None
    assert health(failing).is_failing


def test_the_policy_counts_failures_or_time() -> None:
    now = datetime.fromisoformat("2026-01-02T12:00:00Z")
    policy = AttentionPolicy(3, timedelta(minutes=5))

    def failing_for(minutes: float, failures: int, waiting: int = 1) -> DestinationHealth:
        since = now - timedelta(minutes=minutes)
        return DestinationHealth("pacs", since, failures, waiting=waiting)

    assert not policy.is_met(failing_for(4, 2), now)
    assert policy.is_met(failing_for(0, 3), now)
    assert policy.is_met(failing_for(5, 1), now)
    assert not policy.is_met(failing_for(60, 9, waiting=0), now)
    assert not policy.is_met(DestinationHealth("pacs", waiting=4), now)


@pytest.mark.parametrize(
    ("answer", "failed", "refused"),
    [
        (Rejected(RejectionReason.INVALID_INSTANCE, "no"), 0, 1),
        (NotAccepted("no such object"), 0, 1),
        (UnreadableResult("the disk of the node"), 0, 0),
        (ValueError("a defect"), 0, 0),
        (DOWN, 1, 0),
    ],
)
def test_only_what_the_destination_answers_counts(
    node: WorkerParts, answer: Exception, failed: int, refused: int
) -> None:
    node.pacs.answers.append(answer)
    run(node)
    node.ended_job()
    expected = (failed, refused)

    def counts() -> bool:
        found = node.store.destination_health().get("pacs", DestinationHealth("pacs"))
        return (found.failed_count, found.refused_count) == expected

    until(counts, 20, "the outcome to be recorded")


def test_the_stages_of_a_delivered_job_are_counted(node: WorkerParts) -> None:
    run(node)
    node.job_in(JobState.DELIVERED)
    until(node.store.stage_durations, 20, "the durations")
    found = {h.stage: h.count for h in node.store.stage_durations()}
    assert found == {"deliver": 1, "segment": 1, "waited": 1}
