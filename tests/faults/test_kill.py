"""`kill -9` of the node at any moment: after the next start, exactly one result arrives."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.delivery import DeliveryState
from node.domain.identity import Uid
from node.domain.job import JobState, result_identity
from node.supervisor import Role
from tests.running_node import RunningNode, small_abdomen
from tests.waiting import until


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    """One Orthanc for all tests; each sends a study of its own."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path_factory.mktemp("orthanc"))
    pacs.start()
    yield pacs
    pacs.kill()


@pytest.fixture(scope="module")
def shared_node(
    orthanc: OrthancPacs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningNode]:
    """One node for all tests, as its start takes seconds; it keeps what earlier ones sent."""
    node = RunningNode(tmp_path_factory.mktemp("node"), orthanc)
    yield node
    node.close()


@pytest.fixture
def node(shared_node: RunningNode) -> RunningNode:
    """The node, running."""
    if not shared_node.is_running:
        shared_node.start()
    return shared_node


def has_come_in(node: RunningNode, series: Uid) -> bool:
    """All is received; nothing is decided."""
    return node.store.get_series(series) is not None


def is_queued(node: RunningNode, series: Uid) -> bool:
    """The job is made."""
    return node.newest_job(series) is not None


def is_segmented(node: RunningNode, series: Uid) -> bool:
    """The model runs."""
    job = node.newest_job(series)
    return job is not None and job.state is not JobState.QUEUED


def is_delivered(node: RunningNode, series: Uid) -> bool:
    """The result is on disk, and on its way."""
    job = node.newest_job(series)
    return job is not None and job.state not in {JobState.QUEUED, JobState.RUNNING}


@pytest.mark.parametrize(
    ("moment", "seed"),
    [(has_come_in, 11), (is_queued, 12), (is_segmented, 13), (is_delivered, 14)],
)
def test_a_node_killed_while_a_series_is_processed_delivers_it_once(
    node: RunningNode, tmp_path: Path, moment: Callable[[RunningNode, Uid], bool], seed: int
) -> None:
    files = small_abdomen(tmp_path / "ct", seed=seed)
    header = dcmread(files[0], stop_before_pixels=True)
    series, study = Uid(header.SeriesInstanceUID), Uid(header.StudyInstanceUID)
    node.send(files)
    until(lambda: moment(node, series), 120, f"the moment: {moment.__doc__}")
    node.kill()
    node.start()
    job = node.ended_job(series)

    assert job.state is JobState.DELIVERED, job.reason
    assert job.instance_count == len(files)
    assert node.results(study) == [result_identity(job.job_id).sop_instance_uid]
    assert len(node.store.jobs_of(series)) == 1


def test_a_node_killed_while_the_pacs_is_down_delivers_once_it_is_back(
    tmp_path: Path,
) -> None:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path / "orthanc")
    node = RunningNode(tmp_path / "site", pacs)
    try:
        node.start()
        files = small_abdomen(tmp_path / "ct", seed=21)
        header = dcmread(files[0], stop_before_pixels=True)
        series, study = Uid(header.SeriesInstanceUID), Uid(header.StudyInstanceUID)
        node.send(files)
        job = node.job_in(series, JobState.DELIVERING)
        until(lambda: node.store.deliveries_of(job.job_id)[0].attempts >= 2, 60, "two failed tries")
        (waiting,) = node.store.deliveries_of(job.job_id)
        assert waiting.state is DeliveryState.WAITING
        assert "does not answer" in waiting.last_error
        node.kill()
        node.start()
        pacs.start()
        job = node.ended_job(series)

        assert job.state is JobState.DELIVERED, job.reason
        assert node.results(study) == [result_identity(job.job_id).sop_instance_uid]
    finally:
        node.close()
        pacs.kill()


def test_a_worker_that_is_killed_is_started_again_and_finishes_its_job(
    node: RunningNode, tmp_path: Path
) -> None:
    files = small_abdomen(tmp_path / "ct", seed=22)
    header = dcmread(files[0], stop_before_pixels=True)
    series, study = Uid(header.SeriesInstanceUID), Uid(header.StudyInstanceUID)
    node.send(files)
    node.job_in(series, JobState.RUNNING, JobState.DELIVERING, JobState.DELIVERED)
    os.kill(node.process_of(Role.WORKER), signal.SIGKILL)
    job = node.ended_job(series)

    assert job.state is JobState.DELIVERED, job.reason
    assert node.results(study) == [result_identity(job.job_id).sop_instance_uid]


def test_nothing_outlives_a_supervisor_that_is_killed(node: RunningNode) -> None:
    processes = [node.process_of(role) for role in (Role.WORKER, Role.LISTENER)]
    node.kill()

    until(lambda: not any(is_alive(p) for p in processes), 10, "the processes to be gone")


def is_alive(process: int) -> bool:
    """Whether the process still runs; one that nobody has waited for yet does not."""
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    return False
