"""SIGKILL of the worker while it works on the parts of a series: one result for each part.

DICOM uses TLS; there is no web process.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct_writer import CtDescription, ct_datasets
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.processes.role_process import Role
from tests.support.dicom.builders import CtFiles
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode
from tests.support.processes.stages import Stages
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until

WAIT_S = 120.0
# The stage in which the worker dies, and by how many parts it has been entered by then.
ALL_KILLS = (("decide", 0), ("load", 1), ("segment", 2), ("encode", 1), ("deliver", 2))
# `make soak` kills in every stage, the other runs in the first, one in the middle and the last.
KILLS = ALL_KILLS if os.environ.get("SEGNODE_CRASH_ROUNDS") else ALL_KILLS[::2]


@pytest.fixture
def node(tmp_path: Path, pacs: OrthancPacs, tls: TlsSite | None) -> Iterator[RunningNode]:
    """A running node whose rule makes each acquisition a job of its own."""
    with pacs:
        running = RunningNode(tmp_path / "node", pacs, tls=tls)
        running.configure(
            quiet_seconds=2,
            model=TINY,
            catalogue=tiny_catalogue(tmp_path / "model"),
            log_level="debug",
            rule='acquisitions = "each"',
        )
        running.start()
        yield running
        running.close()


def two_acquisitions(seed: str) -> CtFiles:
    """Returns a series with the same region twice."""
    images: list[Dataset] = []
    for number in (1, 2):
        for image in ct_datasets(tiny_scan(), CtDescription(seed=f"{seed} {number}")):
            image.AcquisitionNumber = number
            first = images[0] if images else image
            for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
                setattr(image, keyword, getattr(first, keyword))
            images.append(image)
    return CtFiles(tuple(images))


def kill_worker(node: RunningNode, stage: str, parts: int) -> None:
    """Kills the worker as soon as so many parts have entered the stage."""
    stages = Stages(node.folder / "node.log")

    def entered() -> bool:
        return len({job for name, job in stages.read() if name == stage}) >= parts

    until(entered, WAIT_S, f"{parts} parts to come to {stage}", poll_s=0.001)
    stages.close()
    os.kill(node.process_of(Role.WORKER), signal.SIGKILL)


@pytest.mark.timeout(600)
def test_a_killed_worker_gives_each_part_one_result(node: RunningNode, tmp_path: Path) -> None:
    sent = {}
    for stage, parts in KILLS:
        files = two_acquisitions(stage)
        paths = files.write(tmp_path / stage)
        series = Uid(files.datasets[0].SeriesInstanceUID)
        sent[series] = Uid(files.datasets[0].StudyInstanceUID)
        node.send(paths)
        kill_worker(node, stage, parts)
        node.send(paths[: len(paths) // 2])  # duplicates
        node.ended_jobs(series, 2)

    for series, study in sent.items():
        jobs = node.store.jobs_of(series)
        assert [job.state for job in jobs] == [JobState.DELIVERED] * 2, [j.reason for j in jobs]
        assert {job.part.number for job in jobs if job.part} == {1, 2}
        expected = sorted(ObjectUids(job.job_id, SEG).sop_instance_uid() for job in jobs)
        assert sorted(node.results(study)) == expected
