"""Work items performed by a complete node, with images from Orthanc and results in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pydicom.dataset import Dataset

from node.demo.orthanc_pacs import orthanc_missing
from node.domain.worklists.work_item import WorkItemState
from tests.support.dicom.work_items import code
from tests.support.processes.worklist_site import WorklistSite, worklist_site
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(bool(orthanc_missing()), reason=orthanc_missing())


def at_url(url: str) -> list[Dataset]:
    """The instances of a series at a DICOMweb server."""
    answer = requests.get(f"{url}/instances", timeout=30)
    return [Dataset.from_json(one) for one in answer.json()]


@pytest.fixture(scope="module")
def shared_ups() -> Iterator[UpsOriginServer]:
    with UpsOriginServer() as server:
        yield server


@pytest.fixture(scope="module")
def site(
    shared_ups: UpsOriginServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorklistSite]:
    """A running node that retrieves by WADO-RS or by C-GET, as the work item says."""
    with worklist_site(tmp_path_factory.mktemp("site"), shared_ups) as made:
        made.node.start()
        yield made


@pytest.mark.parametrize("way", ["web", "get"])
def test_a_work_item_is_performed_with_images_from_orthanc(
    site: WorklistSite, tmp_path: Path, way: str
) -> None:
    seed = 41 if way == "web" else 43
    check_performed(site, site.schedule(tmp_path / "ct", seed, by_web=way == "web"), way)


def test_a_work_item_is_performed_with_images_that_orthanc_sends(
    tmp_path: Path, ups: UpsOriginServer
) -> None:
    with worklist_site(tmp_path, ups, "move") as site:
        site.node.start()
        check_performed(site, site.schedule(tmp_path / "ct", 41, by_web=False), "move")


def check_performed(site: WorklistSite, uid: str, way: str) -> None:
    """The work item that was just scheduled is performed once, and its result is in Orthanc."""
    item = site.item_in(uid, WorkItemState.COMPLETED, WorkItemState.CANCELED)
    assert item.state is WorkItemState.COMPLETED, item.reason
    assert item.inputs[0].source == ("archive" if way == "web" else "pacs")
    assert site.ups.state(uid) == "COMPLETED"
    assert site.ups.refused == []
    (output,) = site.ups.performed(uid).OutputInformationSequence
    (reference,) = output.ReferencedSOPSequence
    (stored,) = at_url(output.WADORSRetrievalSequence[0].RetrieveURL)
    assert stored.SOPInstanceUID == reference.ReferencedSOPInstanceUID
    assert output.DICOMRetrievalSequence[0].RetrieveAETitle == "ORTHANC"
    assert site.node.results(site.study) == [stored.SOPInstanceUID]
    log = site.node.log()
    claims = [line for line in log.splitlines() if "work_item.claimed" in line and uid in line]
    assert len(claims) == 1
    assert "Secret" not in log


def test_a_request_to_cancel_reaches_a_running_node(tmp_path: Path, ups: UpsOriginServer) -> None:
    with worklist_site(tmp_path, ups) as site:
        # The archive is down, so that the work item stays in progress.
        uid = site.schedule(tmp_path / "ct", 42, by_web=True)
        site.orthanc.kill()
        site.node.start()
        site.item_in(uid, WorkItemState.PERFORMING)
        until(lambda: ups.is_listening("SEGNODE"), 60, "the channel to open")
        assert ups.request_cancellation(uid, code("110510", "DCM", "Duplicate order")).status == 202
        site.item_in(uid, WorkItemState.CANCELED)
        assert ups.state(uid) == "CANCELED"
        site.orthanc.start()
        until(lambda: not site.node.store.open_retrievals(), 120, "the retrieval to end")
        until(
            lambda: site.node.store.decision_of(site.series) is not None, 60, "the decision to come"
        )
        assert site.node.store.jobs_of(site.series) == ()
