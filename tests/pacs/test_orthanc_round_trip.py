"""A CT that comes into a real Orthanc comes back there as SEG: hook, node and Orthanc together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from pydicom.uid import SegmentationStorage

from models.phantom import abdomen
from node.demo.orthanc_pacs import Modality, OrthancPacs, free_ports
from node.dicom.ct_series import write_ct_series
from node.supervisor import Supervisor
from tests.pacs.conftest import StartOrthanc
from tests.waiting import until

HOOK = Path(__file__).resolve().parents[2] / "orthanc" / "on_stable_series.py"
# Inference on a busy machine of two cores.
RESULT_SECONDS = 300


@dataclass(frozen=True)
class Ports:
    """Where the node will listen."""

    dicom: int
    web: int


@contextmanager
def node_beside(pacs: OrthancPacs, ports: Ports, folder: Path) -> Iterator[Supervisor]:
    """The node, set up for that Orthanc as orthanc/README.md says."""
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
    supervisor.start()
    try:
        supervisor.wait_ready(120)
        yield supervisor
    finally:
        supervisor.stop()


@pytest.mark.parametrize("mode", ["dicomweb", "store"])
def test_a_ct_uploaded_to_orthanc_comes_back_as_seg_with_no_other_action(
    start_orthanc: StartOrthanc, tmp_path: Path, mode: str
) -> None:
    ports = Ports(*free_ports(2))
    pacs = start_orthanc(
        modalities={"segnode": Modality("SEGNODE", "127.0.0.1", ports.dicom)},
        python_script=HOOK,
        configuration={
            "StableAge": 1,
            "Segnode": {"Url": f"http://127.0.0.1:{ports.web}", "Mode": mode},
        },
    )
    phantom = abdomen(seed=1, spacing_mm=(5, 2.5, 2.5), shape=(48, 160, 160))
    files = write_ct_series(phantom.volume, tmp_path / "ct")
    header = pydicom.dcmread(files[0], stop_before_pixels=True)

    with node_beside(pacs, ports, tmp_path / "node"):
        for file in files:
            pacs.upload(file)
        study = str(header.StudyInstanceUID)
        segmentations = until(
            lambda: pacs.find_series(study, "SEG"), RESULT_SECONDS, "the SEG to come back"
        )
        # It has become stable: the hook has seen it too, and it must have left it alone.
        until(lambda: _is_stable(pacs, segmentations[0]["ID"]), 60, "the SEG to be stable")
        known = requests.get(f"http://127.0.0.1:{ports.web}/api/series", timeout=30).json()

    assert [series["series_instance_uid"] for series in known] == [header.SeriesInstanceUID]
    assert [len(series["Instances"]) for series in segmentations] == [1]
    result = pydicom.dcmread(BytesIO(pacs.file_of_instance(segmentations[0]["Instances"][0])))
    assert result.SOPClassUID == SegmentationStorage
    assert result.PatientID == header.PatientID
    referenced = result.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == header.SeriesInstanceUID
    assert len(referenced.ReferencedInstanceSequence) == len(files)


def _is_stable(pacs: OrthancPacs, orthanc_id: str) -> bool:
    changes: list[dict[str, Any]] = pacs.get("/changes?limit=1000")["Changes"]
    return any(c["ChangeType"] == "StableSeries" and c["ID"] == orthanc_id for c in changes)
