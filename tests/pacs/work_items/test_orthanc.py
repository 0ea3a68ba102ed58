"""Work items performed by a complete node, with images from Orthanc and results in it."""

from pathlib import Path

import pytest
import requests
from pydicom.dataset import Dataset

from node.demo.orthanc_pacs import orthanc_missing
from node.domain.worklists.work_item import WorkItemState
from tests.support.dicom.work_items import code
from tests.support.processes.worklist_site import worklist_site
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(bool(orthanc_missing()), reason=orthanc_missing())


def at_url(url: str) -> list[Dataset]:
    """The instances of a series at a DICOMweb server."""
    answer = requests.get(f"{url}/instances", timeout=30)
    return [Dataset.from_json(one) for one in answer.json()]


@pytest.mark.parametrize("way", ["web", "move", "get"])
def test_a_work_item_is_performed_with_images_from_orthanc(
    tmp_path: Path, ups: UpsOriginServer, way: str
) -> None:
    with worklist_site(tmp_path, ups, "move" if way == "move" else "get") as site:
        uid = site.schedule(tmp_path / "ct", 41, by_web=way == "web")
        site.node.start()
        item = site.item_in(uid, WorkItemState.COMPLETED, WorkItemState.CANCELED)
        assert item.state is WorkItemState.COMPLETED, item.reason
        assert item.inputs[0].source == ("archive" if way == "web" else "pacs")
        assert ups.state(uid) == "COMPLETED"
        assert ups.refused == []
        (output,) = ups.performed(uid).OutputInformationSequence
        (reference,) = output.ReferencedSOPSequence
        (stored,) = at_url(output.WADORSRetrievalSequence[0].RetrieveURL)
        assert stored.SOPInstanceUID == reference.ReferencedSOPInstanceUID
        assert output.DICOMRetrievalSequence[0].RetrieveAETitle == "ORTHANC"
        assert site.node.results(site.study) == [stored.SOPInstanceUID]
        log = site.node.log()
        assert log.count("work_item.claimed") == 1
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
