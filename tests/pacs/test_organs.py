"""A model package of nine organs in the complete node: one SEG with nine correct segments."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from models.installed_packages import find
from models.phantom import labelled_scan
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct_writer import write_ct_series
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from tests.support.processes.running_node import RunningNode
from tests.support.validators import unlisted_reports

_SEED = 500


def test_nine_organs_return_as_one_seg(tmp_path: Path) -> None:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    spec = find("organs-ct")
    assert len(spec.labels) == 9
    case = labelled_scan(_SEED, spec.labels)
    files = write_ct_series(case.volume, tmp_path / "ct", seed=_SEED)
    header = dcmread(files[0], stop_before_pixels=True)
    pacs = OrthancPacs(tmp_path / "orthanc")
    pacs.start()
    node = RunningNode(tmp_path / "node", pacs)
    node.configure(quiet_seconds=1, model="organs-ct")
    try:
        node.start()
        node.send(files)
        job = node.ended_job(Uid(header.SeriesInstanceUID))
        assert job.state is JobState.DELIVERED, job.reason
        assert node.results(Uid(header.StudyInstanceUID)) == [
            ObjectUids(job.job_id, SEG).sop_instance_uid()
        ]
        assert set(job.measurements) == {label.name for label in spec.labels}
        liver = job.measurements["Liver"]
        assert liver["min_hu"] < liver["mean_hu"] < liver["max_hu"]
        assert liver["sd_hu"] > 0
        assert liver["component_count"] == 1
        assert liver["touches_field_of_view"] is False
        assert liver["holes_ml"] >= 0
    finally:
        node.close()
        pacs.kill()
    assert job.result_path is not None
    assert unlisted_reports(job.result_path, "seg") == []
    segmentation = hd.seg.segread(job.result_path)
    codes = [
        segmentation.get_segment_description(number).segmented_property_type.value
        for number in segmentation.segment_numbers
    ]
    assert codes == [label.type.value for label in spec.labels]
    placed = segmentation.get_volume(combine_segments=True, relabel=False)
    found = placed.match_geometry(case.volume.get_geometry()).array
    for label in spec.labels:
        mine, truth = found == label.index, case.truth.of(label)
        if mine.any():  # a label that was not found has no voxels
            assert 2 * np.count_nonzero(mine & truth) / (mine.sum() + truth.sum()) > 0.3, label.name
