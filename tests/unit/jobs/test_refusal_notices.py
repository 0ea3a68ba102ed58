"""A destination that wants it gets a notice for each series that the node refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.errors import NotAccepted, RejectionReason, Transient
from node.domain.job import JobState
from node.domain.result_objects import NOTICE, SEG, WantedObjects
from tests.support.processes.worker_parts import WorkerParts

_REASON = "The series has 3 slices; liver-ct needs at least 10. Send the whole series."


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WorkerParts]:
    node = WorkerParts(tmp_path, refusal=_REASON)
    node.wanted["pacs"] = WantedObjects((SEG,), notice=True)
    node.start()
    yield node
    node.stop()


def test_the_notice_goes_to_the_destinations_that_want_it(node: WorkerParts) -> None:
    node.pacs.answers = [Transient("down")]
    node.receive()
    node.poll()
    job = node.ended_job()
    assert (job.state, job.reason) == (JobState.REFUSED, _REASON)
    (stored,) = node.store.objects_of(job)
    assert stored.result_object == NOTICE
    assert [r.sop_instance_uid for r in node.pacs.received] == list(stored.sop_instance_uids)
    assert [d.key for d in node.store.deliveries_of(job.job_id)] == ["notice@pacs"]
    assert not list(node.folder.glob("archive/**/*.dcm"))


def test_a_notice_that_is_not_accepted_does_not_change_the_outcome(node: WorkerParts) -> None:
    node.pacs.answers = [NotAccepted("it takes no captures")]
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.REFUSED
    undelivered = "The refusal notice was not delivered to pacs: it takes no captures."
    assert job.reason == f"{_REASON} {undelivered}"


def test_without_the_setting_nothing_is_sent(node: WorkerParts) -> None:
    node.wanted["pacs"] = WantedObjects((SEG,))
    node.receive()
    node.poll()
    job = node.ended_job()
    assert (job.state, job.reason) == (JobState.REFUSED, _REASON)
    assert node.store.objects_of(job) == ()
    assert node.pacs.received == []


def test_a_refused_series_that_is_segmented_later_replaces_nothing(node: WorkerParts) -> None:
    node.receive(1)
    node.poll()
    assert node.ended_job().state is JobState.REFUSED
    node.refusal = ""
    node.receive(2)
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.DELIVERED
    assert node.replaces[-1] is None
    assert {d.key for d in node.store.deliveries_of(job.job_id)} == {"pacs", "archive"}


def test_a_refused_job_that_runs_again_sends_its_result(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()
    node.refusal = ""
    node.pacs.received.clear()
    node.store.rerun_job(job.job_id, node.now())
    node.poll()
    assert node.ended_job().state is JobState.DELIVERED
    uid = node.jobs()[-1].result_uids.sop_instance_uid()
    assert [r.sop_instance_uid for r in node.pacs.received] == [uid]


def test_the_code_of_the_refusal_is_recorded(node: WorkerParts) -> None:
    node.wanted["pacs"] = WantedObjects((SEG,))
    node.receive()
    node.poll()
    assert node.store.rejection_of(node.ended_job().job_id) is RejectionReason.TOO_FEW_SLICES
