"""A result with a finding that its rule holds waits until a person releases it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.findings import Finding, FindingKind
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.domain.job import JobState
from tests.support.factories import SERIES
from tests.support.processes.worker_parts import WorkerParts

_PARTS = Finding(FindingKind.SEVERAL_COMPONENTS, "Liver", "The liver has 3 parts.")
_CUT = Finding(FindingKind.CUT_BY_SERIES, "Liver", "The series ends within the liver.")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WorkerParts]:
    node = WorkerParts(tmp_path, hold_on=frozenset({FindingKind.SEVERAL_COMPONENTS}))
    node.start()
    yield node
    node.stop()


def test_a_held_result_is_delivered_once_it_is_released(node: WorkerParts) -> None:
    node.findings = (_CUT, _PARTS)
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.is_held
    assert job.reason == "held for a person: The liver has 3 parts."
    assert job.findings == (_CUT, _PARTS)
    assert node.pacs.received == []
    assert node.store.deliveries_of(job.job_id) == (), "their age counts from the release"
    assert node.store.was_held(job.job_id)
    node.store.retry_job(job.job_id, node.now())
    node.poll()
    released = node.ended_job()
    assert released.state is JobState.DELIVERED
    assert len(node.pacs.received) == 1
    assert len(node.replaces) == 1, "the model does not run again"


def test_a_held_result_that_is_discarded_is_never_sent(node: WorkerParts) -> None:
    node.findings = (_PARTS,)
    node.receive()
    node.poll()
    job = node.ended_job()
    node.store.change_job(job.job_id, JobState.DISCARDED, node.now())
    node.job_scheduler.repair()
    assert node.pacs.received == []
    assert not node.jobs()[-1].is_held


def test_other_findings_do_not_hold_a_result(node: WorkerParts) -> None:
    node.findings = (_CUT,)
    node.receive()
    node.poll()
    job = node.ended_job()
    assert job.state is JobState.DELIVERED
    assert job.findings == (_CUT,)
    assert not node.store.was_held(job.job_id)


def test_the_result_of_a_series_is_held_if_a_further_image_was_refused(node: WorkerParts) -> None:
    node.receive()
    late = RefusedImage(SERIES, Uid("1.2.3.99"), "the disk is full", node.now())
    node.on_inference = [lambda _job: node.store.record_refused_images([late])]
    node.poll()
    job = node.ended_job()
    assert job.is_held
    assert job.reason == (
        "held for a person: One image of this series was refused and is missing (the disk is full)."
        " Send the series again, or start it by hand to process what is here."
    )
    assert node.pacs.received == []
