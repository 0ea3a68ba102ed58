"""A scheduled query of a complete node: a new CT in the PACS is retrieved, segmented, delivered."""

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.processes.role_process import Role
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.waiting import until

_QUERY = """
[peers.archive]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
retrieve = "get"

[queries.new-ct]
source = "archive"
every_minutes = 0.05
"""


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    """A PACS that answers queries of everybody."""
    if missing := orthanc_missing():
        pytest.skip(missing)
    allowed = {f"DicomAlwaysAllow{name}": True for name in ("Find", "Get")}
    made = OrthancPacs(tmp_path_factory.mktemp("orthanc"), configuration=allowed)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def node(pacs: OrthancPacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that queries the PACS every 3 s."""
    running = RunningNode(tmp_path_factory.mktemp("node"), pacs)
    with running.config_file.open("a") as config:
        config.write(_QUERY.format(port=pacs.dicom_port))
    running.start()
    yield running
    running.close()


def test_a_new_ct_in_the_pacs_is_retrieved_once_and_its_result_is_delivered(
    node: RunningNode, pacs: OrthancPacs, tmp_path: Path
) -> None:
    files = small_abdomen(tmp_path / "ct", seed=41)
    for file in files:
        dataset = dcmread(file)
        dataset.StudyDate = f"{datetime.now().astimezone():%Y%m%d}"
        dataset.save_as(file)
        pacs.upload(file)
    series = Uid(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    until(lambda: node.store.get_series(series), 120, "the series to arrive")
    job = node.ended_job(series, instances=len(files))
    assert job.state is JobState.DELIVERED, job.reason
    stored = node.store.get_series(series)
    assert stored is not None
    assert stored.origin == "c-get ORTHANC"

    queries = node.log().count("query.finished")
    until(lambda: node.log().count("query.finished") > queries + 2, 60, "further queries")
    # The result is now in the study, too; it is a SEG and not requested.
    (retrieval,) = node.store.list_retrievals()
    assert retrieval.series_instance_uid == series
    patient = str(dcmread(files[0], stop_before_pixels=True).PatientName)
    assert patient not in node.log()


def test_the_schedule_goes_on_after_the_worker_was_killed(node: RunningNode) -> None:
    until(lambda: "query.finished" in node.log(), 60, "a query")
    os.kill(node.process_of(Role.WORKER), signal.SIGKILL)
    queries = node.log().count("query.finished")
    until(lambda: node.log().count("query.finished") > queries + 1, 120, "further queries")
