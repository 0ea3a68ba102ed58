"""Real series are sent, listed and explained by the command `segnode`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.job import Job, JobState
from tests.support.processes.running_node import RunningNode
from tests.support.shared_data import ct_files
from tests.support.waiting import until

_RESULT_SECONDS = 240.0


@pytest.fixture
def node(tmp_path: Path, orthanc: OrthancPacs) -> Iterator[RunningNode]:
    """A running node with Orthanc as its PACS."""
    running = RunningNode(tmp_path / "site", orthanc)
    try:
        running.start()
        yield running
    finally:
        running.close()


def segnode(node: RunningNode, *arguments: str) -> str:
    """The output of the command, which must succeed."""
    command = [sys.executable, "-m", "node.cli", *arguments, "--config", str(node.config_file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def ended_job_of(node: RunningNode, *, images: int) -> Job:
    """The job of the series with that number of images, once it has ended."""

    def ended() -> Job | None:
        jobs = [j for j in node.store.list_jobs(limit=100) if j.instance_count == images]
        states = {JobState.DELIVERED, JobState.REFUSED, JobState.PARKED}
        return jobs[0] if len(jobs) == 1 and jobs[0].state in states else None

    job = until(ended, _RESULT_SECONDS, f"the job of the series of {images} images to end")
    assert job is not None
    return job


def test_a_jpeg_2000_series_is_segmented_a_short_series_refused_and_both_are_listed(
    node: RunningNode,
) -> None:
    remote = f"SEGNODE@127.0.0.1:{node.dicom_port}"
    for name in ("siemens-j2k", "dcmqi-3slice"):
        folder = ct_files(name)[0].parent
        segnode(node, "send", remote, str(folder), "--calling", "DEMOSENDER")

    decoded = ended_job_of(node, images=20)
    assert decoded.state is JobState.DELIVERED, decoded.reason
    assert decoded.measurements["Liver"]["cut_by_series"] is True
    assert len(node.results(decoded.study_instance_uid)) == 1
    refused = ended_job_of(node, images=3)
    assert refused.state is JobState.REFUSED

    listed = segnode(node, "jobs", "list")
    assert f"job {decoded.job_id[:8]} delivered: Liver at least" in listed
    assert f"job {refused.job_id[:8]} refused: The series has 3 slices; liver-ct needs" in listed

    explanation = segnode(node, "explain", refused.series_instance_uid)
    assert "3 images from c-store DEMOSENDER, accepted by a rule." in explanation
    assert "Rule 'liver' matched the series: liver-ct, results to pacs" in explanation
    assert "✓ Modality equals CT (is CT)" in explanation
    assert "Send the whole series." in explanation
    explanation = segnode(node, "explain", decoded.series_instance_uid)
    assert "): delivered" in explanation

    header = dcmread(ct_files("dcmqi-3slice")[0], stop_before_pixels=True)
    assert str(header.PatientName) not in node.log()
    assert str(header.PatientID) not in node.log()
