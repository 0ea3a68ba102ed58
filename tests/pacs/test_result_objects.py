"""All result objects of a job in a real PACS, and the notice of a refused series."""

import io
from collections.abc import Iterator
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.errors import RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import NOTICE, ResultKind
from tests.support.processes.running_node import RunningNode, small_abdomen

_DESTINATION = """
objects = ["seg", "sr", "capture", "summary", "pdf", "rtstruct"]
segmentation = "sparse"
refusal_notice = true
"""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    with OrthancPacs(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def node(orthanc: OrthancPacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("node"), orthanc)
    running.configure(quiet_seconds=1, destination=_DESTINATION)
    try:
        running.start()
        yield running
    finally:
        running.close()


def _in_orthanc(orthanc: OrthancPacs, series_uid: str) -> list[Dataset]:
    """The instances of a series, in the order of their numbers."""
    query = {"SeriesInstanceUID": series_uid}
    found = orthanc.post("/tools/find", {"Level": "Instance", "Query": query})
    datasets = [dcmread(io.BytesIO(orthanc.file_of_instance(one))) for one in found]
    return sorted(datasets, key=lambda each: int(each.InstanceNumber))


def test_every_object_is_in_the_pacs_and_belongs_to_the_study(
    node: RunningNode, orthanc: OrthancPacs, tmp_path: Path
) -> None:
    slices = small_abdomen(tmp_path / "ct", seed=11)
    header = dcmread(slices[0], stop_before_pixels=True)
    node.send(slices)
    job = node.ended_job(Uid(header.SeriesInstanceUID))
    assert job.state is JobState.DELIVERED, job.reason

    stored = {o.result_object.kind: o for o in node.store.objects_of(job)}
    assert set(stored) == {
        ResultKind.SEG, ResultKind.SR, ResultKind.CAPTURE, ResultKind.SUMMARY, ResultKind.PDF,
        ResultKind.RTSTRUCT,
    }  # fmt: skip
    found = {
        kind: _in_orthanc(orthanc, each.uids.series_instance_uid) for kind, each in stored.items()
    }
    for kind, each in stored.items():
        assert [d.SOPInstanceUID for d in found[kind]] == list(each.sop_instance_uids)
        assert {d.SOPClassUID for d in found[kind]} == {each.sop_class_uid}
        assert {d.StudyInstanceUID for d in found[kind]} == {header.StudyInstanceUID}
        assert {d.PatientID for d in found[kind]} == {header.PatientID}
    numbers = [int(datasets[0].SeriesNumber) for datasets in found.values()]
    descriptions = [datasets[0].SeriesDescription for datasets in found.values()]
    assert len(set(numbers)) == len(set(descriptions)) == len(found)

    (seg,), (report,) = found[ResultKind.SEG], found[ResultKind.SR]
    assert len(found[ResultKind.CAPTURE]) == len(slices)
    assert int(seg.NumberOfFrames) < len(slices)
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    assert isinstance(content, hd.sr.MeasurementReport)
    groups = content.get_volumetric_roi_measurement_groups()
    segments = [group.referenced_segment for group in groups]
    assert [s and s.referenced_sop_instance_uid for s in segments] == [seg.SOPInstanceUID]
    (volume,) = groups[0].get_measurements(hd.sr.CodedConcept("118565006", "SCT", "Volume"))
    assert volume.value == pytest.approx(job.measurements["Liver"]["volume_ml"])


def test_a_refused_series_leaves_a_notice_in_the_pacs(
    node: RunningNode, orthanc: OrthancPacs, tmp_path: Path
) -> None:
    slices = small_abdomen(tmp_path / "ct", seed=12)[:3]
    header = dcmread(slices[0], stop_before_pixels=True)
    node.send(slices)
    job = node.ended_job(Uid(header.SeriesInstanceUID))
    assert job.state is JobState.REFUSED
    assert "needs at least 10" in job.reason
    assert node.store.rejection_of(job.job_id) is RejectionReason.TOO_FEW_SLICES
    (stored,) = node.store.objects_of(job)
    assert stored.result_object == NOTICE
    (notice,) = _in_orthanc(orthanc, stored.uids.series_instance_uid)
    assert notice.StudyInstanceUID == header.StudyInstanceUID
    assert notice.PatientID == header.PatientID
    assert notice.SeriesDescription.startswith("Not segmented")
