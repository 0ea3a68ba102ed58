"""A CT in a real Orthanc returns there as SEG: hook, node and Orthanc together."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from models.phantom import abdomen
from node.access.api_tokens import TokenKeeper
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import Modality, OrthancPacs
from node.dicom.ct_writer import write_ct_series
from node.domain.access.permissions import Permission
from node.processes.supervisor import Supervisor
from node.store import Store
from tests.pacs.conftest import HOOK, StartOrthanc, log_of
from tests.support.prepared.starting import programs_are_forked
from tests.support.waiting import until

# Inference on a busy machine of two cores.
RESULT_SECONDS = 300


@dataclass(frozen=True)
class Ports:
    """The ports of the node."""

    dicom: int
    web: int


@contextmanager
def node_beside(pacs: OrthancPacs, ports: Ports, folder: Path) -> Iterator[Supervisor]:
    """A running node, configured for that Orthanc as orthanc/README.md says."""
    folder.mkdir()
    config = folder / "segnode.toml"
    config.write_text(
        f"""
        data_dir = "data"
        listener = {{ host = "127.0.0.1", port = {ports.dicom} }}
        web = {{ port = {ports.web} }}

        [peers.orthanc]
        ae_title = "{pacs.ae_title}"
        host = "127.0.0.1"
        port = {pacs.dicom_port}

        [sources.orthanc]
        url = "{pacs.dicomweb_url}"

        [destinations.orthanc]
        kind = "cstore"
        peer = "orthanc"

        [[rules]]
        name = "liver"
        model = "liver-ct"
        destinations = ["orthanc"]
        quiet_seconds = 1
        when = {{ attribute = "Modality", equals = "CT" }}
        """,
        encoding="utf-8",
    )
    supervisor = Supervisor(config)
    with programs_are_forked():
        supervisor.start()
        try:
            supervisor.wait_ready(120)
            yield supervisor
        finally:
            supervisor.stop()


def hooked_orthanc(
    start_orthanc: StartOrthanc, ports: Ports, mode: str, token_file: Path
) -> OrthancPacs:
    """An Orthanc with the hook, configured for a node on these ports."""
    return start_orthanc(
        modalities={"segnode": Modality("SEGNODE", "127.0.0.1", ports.dicom)},
        python_script=HOOK,
        configuration={
            "StableAge": 1,
            "Segnode": {
                "Url": f"http://127.0.0.1:{ports.web}",
                "Mode": mode,
                "TokenFile": str(token_file),
            },
        },
    )


def create_token(supervisor: Supervisor, name: str, permission: Permission) -> str:
    """Creates a token of a running node."""
    settings = supervisor.settings
    store = Store.open(settings.database_url, settings.data_dir)
    with closing(store):
        now = datetime.now(UTC)
        keeper = TokenKeeper(store, "test", 3650)
        return keeper.create(name, frozenset({permission}), timedelta(days=1), now)


def upload_phantom(pacs: OrthancPacs, folder: Path) -> list[Dataset]:
    """Uploads the CT of a phantom; returns its headers."""
    phantom = abdomen(seed=1, spacing_mm=(5, 2.5, 2.5), shape=(48, 160, 160))
    files = write_ct_series(phantom.volume, folder)
    for file in files:
        pacs.upload(file)
    return [dcmread(file, stop_before_pixels=True) for file in files]


def returned_seg(pacs: OrthancPacs, study_instance_uid: str) -> Dataset:
    """The only SEG of the study, once it is stable in Orthanc."""
    found = until(
        lambda: pacs.find_series(study_instance_uid, "SEG"), RESULT_SECONDS, "the SEG to return"
    )
    until(lambda: _is_stable(pacs, found[0]["ID"]), 60, "the SEG to be stable")
    series = pacs.find_series(study_instance_uid, "SEG")
    assert [len(one["Instances"]) for one in series] == [1]
    return dcmread(BytesIO(pacs.file_of_instance(series[0]["Instances"][0])))


@pytest.mark.parametrize("mode", ["dicomweb", "store"])
def test_a_ct_uploaded_to_orthanc_returns_as_seg_without_further_action(
    start_orthanc: StartOrthanc, tmp_path: Path, mode: str
) -> None:
    ports = Ports(*free_ports(2))
    token_file = tmp_path / "token"
    pacs = hooked_orthanc(start_orthanc, ports, mode, token_file)
    with node_beside(pacs, ports, tmp_path / "node") as node:
        token_file.write_text(create_token(node, "orthanc", Permission.SEND) + "\n")
        ct = upload_phantom(pacs, tmp_path / "ct")
        result = returned_seg(pacs, ct[0].StudyInstanceUID)
        viewer = {"Authorization": f"Bearer {create_token(node, 'viewer', Permission.VIEW)}"}
        api = f"http://127.0.0.1:{ports.web}/api"
        known = requests.get(f"{api}/series", headers=viewer, timeout=30).json()
        started = requests.post(f"{api}/series/1.2.3/start", headers=viewer, timeout=30)
        unknown = requests.get(f"{api}/series", timeout=30)

    assert (started.status_code, unknown.status_code) == (403, 401)

    # The hook has also seen the stable SEG, and has not sent it.
    assert [series["series_instance_uid"] for series in known] == [ct[0].SeriesInstanceUID]
    assert result.SOPClassUID == SegmentationStorage
    assert result.PatientID == ct[0].PatientID
    referenced = result.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == ct[0].SeriesInstanceUID
    assert {image.ReferencedSOPInstanceUID for image in referenced.ReferencedInstanceSequence} == {
        image.SOPInstanceUID for image in ct
    }


def test_a_ct_uploaded_while_the_node_was_down_returns_as_seg(
    start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    ports = Ports(*free_ports(2))
    token_file = tmp_path / "token"
    token_file.write_text("none yet")
    pacs = hooked_orthanc(start_orthanc, ports, "dicomweb", token_file)
    ct = upload_phantom(pacs, tmp_path / "ct")
    until(lambda: "waits" in log_of(pacs), 30, "the hook to find the node down")
    with node_beside(pacs, ports, tmp_path / "node") as node:
        token_file.write_text(create_token(node, "orthanc", Permission.OPERATE))
        result = returned_seg(pacs, ct[0].StudyInstanceUID)
    assert result.SOPClassUID == SegmentationStorage


def _is_stable(pacs: OrthancPacs, orthanc_id: str) -> bool:
    changes: list[dict[str, Any]] = pacs.get("/changes?limit=1000")["Changes"]
    return any(c["ChangeType"] == "StableSeries" and c["ID"] == orthanc_id for c in changes)
