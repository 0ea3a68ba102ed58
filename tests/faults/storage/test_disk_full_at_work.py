"""The disk of a whole node fills up during a job: the node reports it, waits, and loses nothing.

DICOM and HTTP use TLS; a program whose token the node cannot mark as used still learns the reason.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.maintenance.verify import Verification
from node.processes.role_process import Role
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.storing import statuses
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.processes.secured_site import orthanc_settings
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import until

SIZE_MIB = 64
# Longer than the interruption of the second series.
QUIET_S = 5.0
WORK_S = 120.0
OUT_OF_RESOURCES = 0xA700  # PS3.4 table B.2-1
# The stage in which the disk fills up, and the free bytes: none; too few for DBOS's database, which
# needs a journal for each change; or enough for the databases, for a while, but not for a result.
CASES = (
    (1, "segment", 0),
    (2, "segment", 16 << 10),
    (3, "segment", 128 << 10),
    (4, "deliver", 0),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the node that all cases share."""
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def disk(folder: Path) -> Iterator[SmallDisk]:
    """The disk that holds the node's data."""
    with small_disk(folder / "node" / "data", SIZE_MIB) as made:
        yield made


@pytest.fixture(scope="module")
def node(folder: Path, disk: SmallDisk, tls: TlsSite | None) -> Iterator[RunningNode]:
    """A node with all its processes, which may fill its disk to the last byte."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    pacs = OrthancPacs(folder / "orthanc", configuration=orthanc_settings(tls))
    with pytest.MonkeyPatch.context() as patch, pacs as orthanc:
        patch.setenv("SEGNODE_LEAST_FREE_GIB", "0")
        running = RunningNode(folder / "node", orthanc, roles=tuple(Role), tls=tls)
        running.configure(quiet_seconds=QUIET_S, log_level="debug")
        running.start()
        yield running
        running.close()


@pytest.fixture(scope="module")
def program(node: RunningNode) -> Iterator[httpx.Client]:
    """A program that watches the node."""
    with node.program() as made:
        yield made


@pytest.mark.parametrize(("case", "stage", "room"), CASES)
def test_a_disk_that_fills_up_during_a_job_delays_results_and_loses_nothing(
    node: RunningNode,
    program: httpx.Client,
    disk: SmallDisk,
    tmp_path: Path,
    case: int,
    stage: str,
    room: int,
) -> None:
    in_progress, arriving = (
        small_abdomen(tmp_path / str(seed), seed=seed) for seed in (90 + 2 * case, 91 + 2 * case)
    )
    processes = [node.process_of(role) for role in Role]
    log_start = len(node.log())
    node.send(in_progress)
    until(
        lambda: logged(node, log_start, "job.stage", stage),
        WORK_S,
        f"the job to reach stage {stage}",
        poll_s=0,
    )
    disk.fill(free_bytes=room)
    until(lambda: failed_to_write(node, log_start), WORK_S, "the worker to meet the full disk")
    answers = statuses(node.scp, arriving)
    assert OUT_OF_RESOURCES in answers
    health = program.get("/health")
    assert health.status_code == 503
    assert "No space left on device" in health.json()["disk"]["message"]
    disk.clear()
    refused = [file for file, status in zip(arriving, answers, strict=True) if status != 0]
    node.send(refused)

    for files in (in_progress, arriving):
        header = dcmread(files[0], stop_before_pixels=True)
        job = node.ended_job(Uid(header.SeriesInstanceUID), instances=len(files))
        assert job.state is JobState.DELIVERED, job.reason
        expected = ObjectUids(job.job_id, SEG).sop_instance_uid()
        assert node.results(Uid(header.StudyInstanceUID)) == [expected]
        assert_kept(node, files)
    assert program.get("/health").status_code == 200
    assert [node.process_of(role) for role in Role] == processes, "no process restarts"


def logged(node: RunningNode, log_start: int, *words: str) -> bool:
    """Whether a log line after `log_start` has all these words."""
    lines = node.log()[log_start:].splitlines()
    return any(all(word in line for word in words) for line in lines)


def failed_to_write(node: RunningNode, log_start: int) -> bool:
    """Whether the worker has failed to write something."""
    return logged(node, log_start, "database or disk is full") or logged(
        node, log_start, "job.postponed", "No space left"
    )


def assert_kept(node: RunningNode, files: Sequence[Path]) -> None:
    """The node holds every file as it was sent."""
    for file in files:
        sent = dcmread(file)
        kept = node.store.find_instance(Uid(sent.SOPInstanceUID))
        assert kept is not None
        assert dcmread(kept.instance.path) == sent
    assert list(Verification(node.store).findings()) == []
