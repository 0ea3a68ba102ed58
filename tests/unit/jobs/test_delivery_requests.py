"""Retry, redirect, discard and pause while a worker delivers: nothing is sent twice or lost."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dbos import DBOS

from node.delivery.destination import ResultFile
from node.domain.delivery import DeliveryState, Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.job import Job, JobState
from node.domain.queues.pause import INFERENCE, Pause, Queue
from node.domain.queues.selection import DeliveryName, Interface
from node.jobs.deliver_step import DeliveryAttempt
from tests.support.processes.worker_parts import FakePacs, WorkerParts
from tests.support.waiting import until

CLI = Interface.CLI
PACS = Queue.of_destination("pacs")
DOWN = Transient("it does not answer")
REFUSED = Rejected(RejectionReason.INVALID_INSTANCE, "SEG is not stored here")


@dataclass
class HeldPacs(FakePacs):
    """A PACS that holds each attempt until `resume`."""

    inside: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        self.inside.set()
        assert self.resume.wait(30)
        return super().deliver(instances)


def waiting(node: WorkerParts, attempts: int = 1) -> Job:
    """Waits until the delivery to the PACS has had so many attempts and waits; returns its job."""

    def is_waiting() -> bool:
        jobs = node.jobs()
        found = node.store.get_delivery(jobs[-1].job_id, "pacs") if jobs else None
        return (
            found is not None
            and found.state is DeliveryState.WAITING
            and found.attempts >= attempts
        )

    until(is_waiting, 30, "the delivery to wait")
    return node.jobs()[-1]


def poll_until(node: WorkerParts, state: JobState) -> Job:
    """Polls until the newest job is in the state; returns it."""

    def is_in_state() -> bool:
        node.job_scheduler.poll()
        return node.jobs()[-1].state is state

    until(is_in_state, 30, f"the job to be {state}")
    return node.jobs()[-1]


def pacs_of(job: Job) -> list[DeliveryName]:
    return [DeliveryName(job.job_id, "pacs")]


@pytest.fixture
def patient(tmp_path: Path) -> WorkerParts:
    """A worker, not started, whose second attempt at a delivery follows after an hour."""
    return WorkerParts(tmp_path, first_wait_s=3600.0)


def _delivered(node: WorkerParts, job: Job) -> set[str]:
    """The destinations that have received the result of the job."""
    deliveries = node.store.deliveries_of(job.job_id)
    return {each.key for each in deliveries if each.state is DeliveryState.DELIVERED}


def test_a_waiting_delivery_is_retried_now_by_the_same_workflow(patient: WorkerParts) -> None:
    node = patient
    node.pacs.answers.append(DOWN)
    node.start()
    try:
        node.receive()
        node.poll()
        job = waiting(node)
        node.store.retry_deliveries(pacs_of(job), node.now(), CLI)
        poll_until(node, JobState.DELIVERED)
        started = DBOS.list_workflows(name="deliver_result", load_input=False, load_output=False)
    finally:
        node.stop()
    assert len(node.pacs.received) == 1
    ids = [w.workflow_id for w in started if w.workflow_id.endswith(":pacs")]
    assert ids == [f"deliver:{job.job_id}:{number}:pacs" for number in (1, 2)]


def test_a_delivery_that_was_given_up_is_retried_while_another_waits(
    patient: WorkerParts,
) -> None:
    node = patient
    node.pacs.answers.append(REFUSED)
    (node.folder / "archive").write_text("a file where the folder should be")
    node.start()
    try:
        node.receive()
        node.poll()

        def is_parked() -> bool:
            states = {d.key: d.state for d in node.store.deliveries_of(node.jobs()[-1].job_id)}
            return states.get("pacs") is DeliveryState.PARKED

        until(is_parked, 30, "the delivery to be given up")
        job = node.jobs()[-1]
        assert job.state is JobState.DELIVERING
        node.store.retry_deliveries(pacs_of(job), node.now(), CLI)

        def has_arrived() -> bool:
            node.job_scheduler.poll()
            return len(node.pacs.received) == 1

        until(has_arrived, 30, "the retried delivery")
        (node.folder / "archive").unlink()
        archive = [DeliveryName(job.job_id, "archive")]
        node.store.discard_deliveries(archive, node.now(), CLI, "the archive is closed")
        ended = poll_until(node, JobState.DELIVERED)
    finally:
        node.stop()
    assert ended.reason == "not sent to archive: the archive is closed"


def test_a_delivery_discarded_during_its_attempt_stays_discarded(tmp_path: Path) -> None:
    pacs = HeldPacs("pacs")
    node = WorkerParts(tmp_path, pacs=pacs)
    node.start()
    try:
        node.receive()
        node.poll()
        assert pacs.inside.wait(30)
        job = node.job_in(JobState.DELIVERING)
        node.store.discard_deliveries(pacs_of(job), node.now(), CLI, "wrong study")
        poll_until(node, JobState.DELIVERED)
        pacs.resume.set()
        until(lambda: pacs.received, 30, "the end of the attempt")
        until(lambda: not node.workflows.delivery_workflows(), 30, "the end of its workflow")
        node.job_scheduler.repair()
        (delivery,) = [d for d in node.store.deliveries_of(job.job_id) if d.key == "pacs"]
        events = [e.detail for e in node.store.history_of(job.job_id)]
    finally:
        pacs.resume.set()
        node.stop()
    assert (delivery.state, delivery.attempts) == (DeliveryState.DISCARDED, 0)
    assert len(pacs.received) == 1
    assert "it arrived after the delivery was discarded" in events[-1]


def test_a_retry_during_an_attempt_sends_nothing_twice(tmp_path: Path) -> None:
    pacs = HeldPacs("pacs")
    node = WorkerParts(tmp_path, pacs=pacs)
    node.start()
    try:
        node.receive()
        node.poll()
        assert pacs.inside.wait(30)
        job = node.job_in(JobState.DELIVERING)
        node.store.retry_deliveries(pacs_of(job), node.now(), CLI)
        node.job_scheduler.poll()
        # A second workflow for the same attempt, as a repair on another host could start.
        second = DeliveryAttempt(job.job_id, "pacs", 1, streak=1)
        node.workflows.start_delivery(second, repair="-second")
        running = f"deliver:{job.job_id}:1-second:pacs"
        until(lambda: not node.workflows.is_active(running), 30, "the second workflow to end")
        pacs.resume.set()
        assert node.ended_job().state is JobState.DELIVERED
    finally:
        pacs.resume.set()
        node.stop()
    assert len(pacs.received) == 1


def test_a_job_whose_deliveries_are_all_discarded_ends_discarded(node: WorkerParts) -> None:
    node.store.pause_queue(Pause(PACS, node.now(), CLI))
    node.store.pause_queue(Pause(Queue.of_destination("archive"), node.now(), CLI))
    node.receive()
    node.poll()
    job = node.job_in(JobState.DELIVERING)
    names = [DeliveryName(job.job_id, key) for key in ("pacs", "archive")]
    node.store.discard_deliveries(names, node.now(), CLI, "wrong patient")
    ended = poll_until(node, JobState.DISCARDED)
    assert ended.reason == "not sent to archive: wrong patient; pacs: wrong patient"
    assert node.pacs.received == []
    node.store.rerun_job(job.job_id, node.now())
    assert {d.state for d in node.store.deliveries_of(job.job_id)} == {DeliveryState.WAITING}


def test_a_parked_job_is_redirected_to_the_other_destination(node: WorkerParts) -> None:
    node.pacs.answers.append(REFUSED)
    node.receive()
    node.poll()
    job = node.job_in(JobState.PARKED)
    node.store.redirect_deliveries(pacs_of(job), "archive", node.now(), CLI)
    ended = poll_until(node, JobState.DELIVERED)
    assert ended.reason == "not sent to pacs: redirected to archive"
    assert node.pacs.received == []


def test_a_paused_destination_gets_nothing_until_it_is_resumed(node: WorkerParts) -> None:
    node.store.pause_queue(Pause(PACS, node.now(), CLI))
    node.receive()
    node.poll()
    job = node.job_in(JobState.DELIVERING)
    until(lambda: "archive" in _delivered(node, job), 30, "the other delivery")
    until(lambda: not node.workflows.delivery_workflows(), 30, "the end of its workflow")
    node.job_scheduler.repair()
    assert node.workflows.delivery_workflows() == []
    assert node.pacs.received == []
    node.store.resume_queue(PACS, node.now(), CLI)
    poll_until(node, JobState.DELIVERED)
    (delivery,) = [d for d in node.store.deliveries_of(job.job_id) if d.key == "pacs"]
    assert (len(node.pacs.received), delivery.attempts) == (1, 1)


def test_a_paused_inference_runs_no_model_until_it_is_resumed(node: WorkerParts) -> None:
    node.store.pause_queue(Pause(INFERENCE, node.now(), CLI))
    node.receive()
    node.poll()
    (job,) = node.jobs()
    until(lambda: node.workflows.run_state(job.job_id, 1).value == "ended", 30, "its run to end")
    node.job_scheduler.repair()
    assert node.jobs()[0].state is JobState.QUEUED
    assert node.requests == []
    node.store.resume_queue(INFERENCE, node.now(), CLI)
    node.job_scheduler.poll()
    assert node.ended_job().state is JobState.DELIVERED
    assert len(node.requests) == 1
