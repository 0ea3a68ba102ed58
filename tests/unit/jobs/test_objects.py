"""A job with several objects: each goes to the destinations that want it, with its own attempts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.delivery import DeliveryKey, DeliveryState
from node.domain.errors import NotAccepted, Transient
from node.domain.job import JobState
from node.domain.result_objects import SEG, ResultKind, ResultObject, SegEncoding, WantedObjects
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

_SR = ResultObject(ResultKind.SR)
_CAPTURE = ResultObject(ResultKind.CAPTURE)
_LABELMAP = ResultObject(ResultKind.SEG, SegEncoding.LABELMAP)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WorkerParts]:
    node = WorkerParts(tmp_path)
    node.wanted["pacs"] = WantedObjects((SEG, _SR, _CAPTURE))
    node.start()
    yield node
    node.stop()


def _deliveries(node: WorkerParts) -> dict[str, DeliveryState]:
    return {d.key: d.state for d in node.store.deliveries_of(node.jobs()[-1].job_id)}


def test_each_destination_gets_its_objects(node: WorkerParts, tmp_path: Path) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.DELIVERED, job.reason
    assert set(_deliveries(node)) == {"pacs", "sr@pacs", "capture@pacs", "archive"}
    stored = {o.result_object: o for o in node.store.objects_of(job)}
    assert set(stored) == {SEG, _SR, _CAPTURE}
    assert sorted(r.sop_instance_uid for r in node.pacs.received) == sorted(
        uid for each in stored.values() for uid in each.sop_instance_uids
    )
    assert len(stored[_CAPTURE].paths) == 2
    (archived,) = (tmp_path / "archive").rglob("*.dcm")
    assert archived.stem == job.result_uids.sop_instance_uid()


def test_an_object_that_fails_is_retried_alone(node: WorkerParts) -> None:
    node.pacs.answers = [Transient("down"), Transient("down")]
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.DELIVERED
    attempts = [d.attempts for d in node.store.deliveries_of(job.job_id)]
    assert sum(attempts) == len(attempts) + 2
    uids = [r.sop_instance_uid for r in node.pacs.received]
    assert len(uids) == len(set(uids)) == 4


def test_a_job_is_delivered_only_when_all_its_objects_are(node: WorkerParts) -> None:
    node.pacs.answers = [NotAccepted("it does not accept this")]
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.PARKED
    (parked,) = [key for key, state in _deliveries(node).items() if state is DeliveryState.PARKED]
    noun = DeliveryKey.parse(parked).result_object.kind.noun
    assert f"the {noun} w" in job.reason
    assert job.reason.endswith(" not delivered to pacs: it does not accept this")
    node.store.retry_job(job.job_id, node.now())
    node.poll()
    assert node.job_in(JobState.DELIVERED)
    uids = [r.sop_instance_uid for r in node.pacs.received]
    assert len(uids) == len(set(uids)) == 4, "only what was missing is sent again"


def test_a_fallback_replaces_an_object_that_is_not_accepted(tmp_path: Path) -> None:
    node = WorkerParts(tmp_path)
    node.wanted["pacs"] = WantedObjects((SEG,), fallback=(_CAPTURE,))
    node.pacs.answers = [NotAccepted("it does not accept Segmentation Storage")]
    node.start()
    try:
        node.receive()
        node.poll()
        job = node.ended_job()
        assert job.state is JobState.DELIVERED, job.reason
        receipts = {d.key: d.receipt for d in node.store.deliveries_of(job.job_id)}
        assert receipts["pacs"] == (
            "not accepted, capture sent instead: it does not accept Segmentation Storage"
        )
        capture = node.store.get_object(job, _CAPTURE)
        assert capture is not None
        sent = [r.sop_instance_uid for r in node.pacs.received]
        assert sent == list(capture.sop_instance_uids)
    finally:
        node.stop()


def test_a_fallback_that_is_not_accepted_either_parks_the_job(tmp_path: Path) -> None:
    node = WorkerParts(tmp_path)
    node.wanted["pacs"] = WantedObjects((SEG,), fallback=(_CAPTURE,))
    node.pacs.answers = [NotAccepted("no SEG"), NotAccepted("no captures")]
    node.start()
    try:
        node.receive()
        node.poll()
        job = node.ended_job()
        assert job.state is JobState.PARKED
        assert job.reason == "the captures were not delivered to pacs: no captures"
    finally:
        node.stop()


def test_a_report_alone_comes_with_the_seg_it_references_in_the_store(tmp_path: Path) -> None:
    node = WorkerParts(tmp_path)
    report = ResultObject(ResultKind.SR, SegEncoding.LABELMAP)
    node.wanted = {"pacs": WantedObjects((report,)), "archive": WantedObjects((report,))}
    node.start()
    try:
        node.receive()
        node.poll()
        job = node.ended_job()
        assert job.state is JobState.DELIVERED, job.reason
        assert {o.result_object for o in node.store.objects_of(job)} == {report, _LABELMAP}
        assert job.result_object == _LABELMAP
        assert set(_deliveries(node)) == {"sr-labelmap@pacs", "sr-labelmap@archive"}
    finally:
        node.stop()


def test_a_rerun_sends_every_object_again_with_the_same_uids(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()
    first = sorted(r.sop_instance_uid for r in node.pacs.received)
    node.pacs.received.clear()
    node.store.rerun_job(job.job_id, node.now())
    assert node.store.objects_of(node.jobs()[-1]) == ()
    node.poll()
    until(lambda: len(node.pacs.received) == 4, 20, "four instances")
    assert node.job_in(JobState.DELIVERED)
    assert sorted(r.sop_instance_uid for r in node.pacs.received) == first


def test_an_object_that_is_no_longer_wanted_is_not_sent_after_a_rerun(node: WorkerParts) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()
    node.pacs.received.clear()
    node.wanted["pacs"] = WantedObjects((SEG,))
    node.store.rerun_job(job.job_id, node.now())
    node.poll()
    assert node.ended_job().state is JobState.DELIVERED
    assert set(_deliveries(node)) == {"pacs", "archive"}
    assert len(node.pacs.received) == 1


def test_clearing_a_series_deletes_the_files_of_every_object(
    node: WorkerParts, tmp_path: Path
) -> None:
    node.receive()
    node.poll()
    job = node.ended_job()
    assert len(list((tmp_path / "results").rglob("*.dcm"))) == 4
    assert node.store.clear_series(job.series_instance_uid, node.now())
    assert not list((tmp_path / "results").rglob("*"))
    assert node.store.objects_of(node.jobs()[-1]) == ()
