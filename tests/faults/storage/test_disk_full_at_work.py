"""The disk of a whole node becomes full while it works: it tells so, waits, and loses nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.identifiers import Uid
from node.domain.job import JobState, result_identity
from node.maintenance.verify import Verification
from node.processes.supervisor import Role
from tests.support.peers.storing import statuses
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import until

SIZE_MIB = 64
# Longer than the second series is interrupted.
QUIET_S = 5.0
WORK_S = 120.0
OUT_OF_RESOURCES = 0xA700  # PS3.4 table B.2-1
# The stage in which the disk becomes full, and what is left: nothing; too little for the engine's
# database, which needs a journal for each change; or enough for the databases, for a while, but
# not for a result.
CASES = (("segment", 0), ("segment", 16 << 10), ("segment", 128 << 10), ("deliver", 0))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """That of the node's data."""
    with small_disk(tmp_path / "node" / "data", SIZE_MIB) as made:
        yield made


@pytest.fixture
def node(tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNode]:
    """A node that runs with all its processes, and fills its disk to the end if need be."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    monkeypatch.setenv("SEGNODE_LEAST_FREE_GIB", "0")
    with OrthancPacs(tmp_path / "orthanc") as orthanc:
        running = RunningNode(tmp_path / "node", orthanc, roles=tuple(Role))
        running.configure(quiet_seconds=QUIET_S, log_level="debug")
        running.start()
        yield running
        running.close()


@pytest.mark.parametrize(("stage", "room"), CASES)
def test_a_disk_that_becomes_full_amid_the_work_holds_it_up_and_loses_nothing(
    node: RunningNode, disk: SmallDisk, tmp_path: Path, stage: str, room: int
) -> None:
    at_work, arriving = (small_abdomen(tmp_path / str(seed), seed=seed) for seed in (91, 92))
    processes = [node.process_of(role) for role in Role]
    node.send(at_work)
    until(lambda: told(node, "job.stage", stage), WORK_S, f"the job to come to {stage}", poll_s=0)
    disk.fill(room=room)
    until(lambda: has_met_it(node), WORK_S, "the worker to meet the full disk")
    answers = statuses(node.dicom_port, arriving)
    assert OUT_OF_RESOURCES in answers
    health = httpx.get(f"http://127.0.0.1:{node.web_port}/health")
    assert health.status_code == 503
    assert "No space left on device" in health.json()["disk"]["message"]
    disk.make_room()
    refused = [file for file, status in zip(arriving, answers, strict=True) if status != 0]
    node.send(refused)

    for files in (at_work, arriving):
        header = dcmread(files[0], stop_before_pixels=True)
        job = node.ended_job(Uid(header.SeriesInstanceUID), instances=len(files))
        assert job.state is JobState.DELIVERED, job.reason
        expected = result_identity(job.job_id).sop_instance_uid
        assert node.results(Uid(header.StudyInstanceUID)) == [expected]
        assert_kept(node, files)
    assert httpx.get(f"http://127.0.0.1:{node.web_port}/health").status_code == 200
    assert [node.process_of(role) for role in Role] == processes, "none had to be started anew"


def told(node: RunningNode, *words: str) -> bool:
    """Whether the node's log has a line with these words."""
    return any(all(word in line for word in words) for line in node.log().splitlines())


def has_met_it(node: RunningNode) -> bool:
    """Whether the worker could not write something."""
    return told(node, "database or disk is full") or told(node, "job.put_off", "No space left")


def assert_kept(node: RunningNode, files: Sequence[Path]) -> None:
    """See that the node has all of them, as they were sent."""
    for file in files:
        sent = dcmread(file)
        kept = node.store.find_instance(Uid(sent.SOPInstanceUID))
        assert kept is not None
        assert dcmread(kept.instance.path) == sent
    assert list(Verification(node.store).findings()) == []
