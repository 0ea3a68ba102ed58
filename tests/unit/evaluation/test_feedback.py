"""Segmentations by people: recognised, compared, exported, and read by a training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.data import find_cases, load_case
from node.dicom.ct.reader import CtSeries, read_series
from node.domain.evaluation.feedback import Feedback, FeedbackState
from node.domain.identifiers import Uid
from node.domain.job import Job
from node.domain.series import SeriesState
from node.evaluation.feedback_export import export_feedback
from tests.support.dicom.body import THRESHOLD_HU
from tests.support.dicom.builders import LIVER, ct_series
from tests.support.dicom.persons_seg import persons_seg
from tests.support.processes.evaluating_worker import EvaluatingWorker


@dataclass(frozen=True)
class Site:
    """A worker that has segmented a CT, and that CT."""

    worker: EvaluatingWorker
    job: Job
    source: CtSeries

    @property
    def liver(self) -> NDArray[np.bool_]:
        """The liver that the model finds, (slice, row, column)."""
        return np.asarray(self.source.volume.array > THRESHOLD_HU)

    def store(self, segmentation: Dataset, folder: Path) -> Feedback | None:
        """Receives a segmentation and compares it; returns it, None if it is no feedback."""
        path = folder / f"{segmentation.SOPInstanceUID}.dcm"
        segmentation.save_as(path, enforce_file_format=True)
        self.worker.receive_files([path])
        self.worker.poll(segmentation.SeriesInstanceUID)
        self.worker.comparer.poll()
        uid = segmentation.SOPInstanceUID
        return next((f for f in self.worker.store.feedback() if f.sop_instance_uid == uid), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("feedback")
    worker = EvaluatingWorker(folder / "site", shadow=None)
    worker.start()
    job = worker.process(folder / "ct")
    yield Site(worker, job, read_series(sorted((folder / "ct").iterdir())))
    worker.stop()


def corrected(site: Site) -> NDArray[np.bool_]:
    """A liver from which a person has removed its upper slices."""
    found = site.liver.copy()
    found[np.flatnonzero(found.any(axis=(1, 2)))[-3:]] = False
    return found


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_a_corrected_segmentation_is_compared_with_the_result(site: Site, tmp_path: Path) -> None:
    mask = corrected(site)
    found = site.store(persons_seg(site.source, mask, "corrected"), tmp_path)
    assert found is not None
    assert (found.state, found.reason) == (FeedbackState.COMPARED, "")
    assert found.source_series_instance_uid == site.job.series_instance_uid
    (comparison,) = found.comparisons
    assert (comparison.job_id, comparison.model) == (site.job.job_id, "liver-ct@1.0")
    (liver,) = comparison.organs
    voxel_ml = float(site.source.volume.voxel_volume) / 1000
    assert liver.dice == pytest.approx(dice(mask, site.liver), abs=1e-9)
    assert liver.reference_ml == pytest.approx(mask.sum() * voxel_ml)
    assert liver.volume_ml == pytest.approx(site.liver.sum() * voxel_ml)


def test_a_segment_of_another_code_is_matched_by_its_label(site: Site, tmp_path: Path) -> None:
    segmentation = persons_seg(
        site.source, corrected(site), "own code", code=codes.SCT.Organ, label="LIVER"
    )
    found = site.store(segmentation, tmp_path)
    assert found is not None
    assert [organ.organ for organ in found.comparisons[0].organs] == [LIVER.name]


def test_a_segmentation_of_something_else_is_listed_with_the_reason(
    site: Site, tmp_path: Path
) -> None:
    segmentation = persons_seg(
        site.source, corrected(site), "tumour", code=codes.SCT.Neoplasm, label="Tumour"
    )
    found = site.store(segmentation, tmp_path)
    assert found is not None
    assert found.state is FeedbackState.FAILED
    assert "no segment shows an organ of the models" in found.reason


def test_a_segmentation_is_processed_by_no_rule(site: Site, tmp_path: Path) -> None:
    segmentation = persons_seg(site.source, corrected(site), "no job")
    site.store(segmentation, tmp_path)
    series = site.worker.store.get_series(Uid(segmentation.SeriesInstanceUID))
    assert series is not None
    assert series.state is SeriesState.IGNORED
    assert site.worker.jobs(series.series_instance_uid) == ()
    assert "segmentations" in str(site.worker.store.decision_of(series.series_instance_uid))


def test_a_result_that_comes_back_is_no_feedback(site: Site, tmp_path: Path) -> None:
    assert site.job.result_path is not None
    own = hd.seg.segread(site.job.result_path)
    assert site.store(own, tmp_path) is None


def test_a_segmentation_of_unknown_images_waits(site: Site, tmp_path: Path) -> None:
    other = read_series(ct_series(seed="other").write(tmp_path / "other"))
    found = site.store(persons_seg(other, site.liver, "unknown"), tmp_path)
    assert found is not None
    assert found.state is FeedbackState.WAITING


def test_an_export_holds_the_ct_and_the_labels_on_its_grid(site: Site, tmp_path: Path) -> None:
    mask = corrected(site)
    site.store(persons_seg(site.source, mask, "to export"), tmp_path)
    rules = site.worker.series_completion.rules
    exported = export_feedback(site.worker.store, rules, tmp_path / "export")
    (data_set,) = exported.data_sets
    assert (data_set.organs, data_set.case_count) == (("Liver",), 1)
    (case,) = find_cases(data_set.folder, "nnunet").cases
    labelled = load_case(case, (LIVER,))
    assert labelled.volume.geometry_equal(site.source.volume, tol=1e-3)
    assert np.array_equal(labelled.volume.array, site.source.volume.array)
    assert np.array_equal(labelled.truth.volume.array == LIVER.index, mask)
    names = {p.name for p in data_set.folder.rglob("*") if p.is_file()}
    assert names == {"dataset.json", "case-0001_0000.nii.gz", "case-0001.nii.gz"}
