"""Offline segmentation: results have the geometry of the input and name their source."""

from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.domain.errors import Rejected, RejectionReason
from node.domain.instance import Channel, Origin
from node.intake.part10 import received_from_part10
from node.offline.segment import segment_file
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    Directions,
    body,
    grid,
    in_liver,
    oblique,
)
from tests.support.dicom.builders import MADE_AT, ThresholdSegmenter, ct_series
from tests.support.shared_data import ct_files

ORIENTATIONS = [
    pytest.param(AXIAL, id="axial"),
    pytest.param(FEET_FIRST, id="feet-first"),
    pytest.param(CORONAL, id="coronal"),
    pytest.param(oblique(), id="oblique"),
]


def assert_liver_in_space(labels: np.ndarray, to_lps: np.ndarray) -> None:
    """Asserts that `labels`, with their affine to LPS, show the liver where the body has it."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij"), axis=-1)
    ground_truth = in_liver(index @ to_lps[:3, :3].T + to_lps[:3, 3])
    assert ground_truth.sum() > 500
    assert np.mean((labels > 0) != ground_truth) < 1e-4


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_a_nifti_mask_shows_the_liver_in_space(directions: Directions, tmp_path: Path) -> None:
    ct_series(directions).write(tmp_path / "ct")
    output = tmp_path / "liver.nii.gz"
    segment_file(tmp_path / "ct", output, ThresholdSegmenter(), made_at=MADE_AT)
    image = nibabel.load(output)
    ras_to_lps = np.diag([-1, -1, 1, 1])
    assert_liver_in_space(np.asarray(image.dataobj), ras_to_lps @ image.affine)
    assert image.get_data_dtype() == np.uint8


def test_a_nifti_mask_of_a_tilted_series_shows_the_liver_in_space(tmp_path: Path) -> None:
    geometry = grid(AXIAL, slices=40, rows=110, columns=130, spacing_mm=(3.0, 1.0, 1.0))
    ct_series(geometry=geometry, tilt_degrees=18.5).write(tmp_path / "ct")
    output = tmp_path / "liver.nii.gz"
    summary = segment_file(tmp_path / "ct", output, ThresholdSegmenter(), made_at=MADE_AT)
    assert summary.slice_count == 40
    image = nibabel.load(output)
    found = np.asarray(image.dataobj) > 0
    index = np.moveaxis(np.indices(found.shape), 0, -1)
    to_lps = np.diag([-1, -1, 1, 1]) @ image.affine
    truth = in_liver(index @ to_lps[:3, :3].T + to_lps[:3, 3])
    # Whole rows move, by at most half a pixel too much or too little.
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.98


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_a_slicer_segmentation_shows_the_liver_in_space(
    directions: Directions, tmp_path: Path
) -> None:
    ct_series(directions).write(tmp_path / "ct")
    output = tmp_path / "liver.seg.nrrd"
    segment_file(tmp_path / "ct", output, ThresholdSegmenter(), made_at=MADE_AT)
    labels, header = nrrd.read(str(output))
    assert header["space"] == "left-posterior-superior"
    affine = np.eye(4)
    affine[:3, :3] = header["space directions"].T
    affine[:3, 3] = header["space origin"]
    assert_liver_in_space(labels, affine)


def test_a_dicom_folder_gives_a_dicom_seg(tmp_path: Path) -> None:
    ct_series().write(tmp_path / "ct")
    (tmp_path / "ct" / "notes.txt").write_text("not an image")
    summary = segment_file(
        tmp_path / "ct", tmp_path / "liver.dcm", ThresholdSegmenter(), made_at=MADE_AT
    )
    dataset = dcmread(tmp_path / "liver.dcm")
    assert dataset.Modality == "SEG"
    assert summary.slice_count == 24
    assert "Liver" in str(summary)


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    ct_series().write(tmp_path / "ct")
    outputs = [tmp_path / "first.dcm", tmp_path / "second.dcm"]
    for output in outputs:
        segment_file(tmp_path / "ct", output, ThresholdSegmenter(), made_at=MADE_AT)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_nifti_in_gives_nifti_out_on_the_same_grid(directions: Directions, tmp_path: Path) -> None:
    source, output = tmp_path / "ct.nii.gz", tmp_path / "liver.nii.gz"
    nibabel.save(body(grid(directions)).to_nibabel(), source)
    summary = segment_file(source, output, ThresholdSegmenter(), made_at=MADE_AT)
    image, result = nibabel.load(source), nibabel.load(output)
    liver = np.asarray(image.dataobj) == 120
    np.testing.assert_allclose(result.affine, image.affine, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(result.dataobj) == 1, liver)
    ras_to_lps = np.diag([-1, -1, 1, 1])
    assert_liver_in_space(np.asarray(result.dataobj), ras_to_lps @ result.affine)
    assert summary.measurements["Liver"].volume_ml > 0


def test_a_dicom_seg_from_nifti_is_refused_with_advice(tmp_path: Path) -> None:
    source = tmp_path / "ct.nii.gz"
    nibabel.save(body(grid(AXIAL)).to_nibabel(), source)
    with pytest.raises(Rejected, match="give the DICOM folder"):
        segment_file(source, tmp_path / "liver.dcm", ThresholdSegmenter(), made_at=MADE_AT)


def test_emptied_identifiers_are_replaced_by_those_that_the_node_assigns(
    tmp_path: Path,
) -> None:
    files = ct_files("siemens-j2k")
    received = received_from_part10(files[0].read_bytes(), Origin(Channel.FOLDER, "test"))
    output = tmp_path / "liver.dcm"
    segment_file(files[0].parent, output, ThresholdSegmenter(), made_at=MADE_AT)
    result = dcmread(output)
    assert result.StudyInstanceUID == received.study_instance_uid
    (referenced,) = result.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == received.series_instance_uid


def test_a_file_that_is_not_nifti_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "ct.nii"
    source.write_bytes(b"nothing of the kind" * 40)
    with pytest.raises(Rejected) as caught:
        segment_file(source, tmp_path / "out.nii.gz", ThresholdSegmenter(), made_at=MADE_AT)
    assert caught.value.reason is RejectionReason.UNREADABLE


def test_a_nifti_without_liver_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "ct.nii"
    nibabel.save(body(grid(AXIAL, centre=(0.0, 0.0, 300.0))).to_nibabel(), source)
    with pytest.raises(Rejected) as caught:
        segment_file(source, tmp_path / "out.nii.gz", ThresholdSegmenter(), made_at=MADE_AT)
    assert caught.value.reason is RejectionReason.REGION_NOT_COVERED


def test_images_without_study_uid_can_be_segmented_to_nifti(tmp_path: Path) -> None:
    def empty(_index: int, dataset: Dataset) -> None:
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = ""

    ct_series().modify(empty).write(tmp_path / "ct")
    summary = segment_file(tmp_path / "ct", tmp_path / "liver.nii.gz", ThresholdSegmenter())
    assert summary.slice_count == 24


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no DICOM files"):
        segment_file(tmp_path, tmp_path / "out.nii.gz", ThresholdSegmenter(), made_at=MADE_AT)


def test_a_folder_with_several_series_requires_a_choice(tmp_path: Path) -> None:
    for seed in ("one", "two"):
        ct_series(seed=seed).write(tmp_path / "study" / seed)
    with pytest.raises(Rejected, match="holds 2 series; choose one with --series") as caught:
        segment_file(tmp_path / "study", tmp_path / "liver.dcm", ThresholdSegmenter())
    uid = str(dcmread(next((tmp_path / "study" / "two").iterdir())).SeriesInstanceUID)
    assert uid in str(caught.value)
    output = tmp_path / "liver.dcm"
    segment_file(tmp_path / "study", output, ThresholdSegmenter(), series=uid)
    assert dcmread(output).ReferencedSeriesSequence[0].SeriesInstanceUID == uid


def test_results_of_two_runs_have_different_uids(tmp_path: Path) -> None:
    ct_series().write(tmp_path / "ct")
    uids = []
    for name in ("one.dcm", "two.dcm"):
        segment_file(tmp_path / "ct", tmp_path / name, ThresholdSegmenter())
        uids.append(dcmread(tmp_path / name).SOPInstanceUID)
    assert uids[0] != uids[1]


def test_a_missing_output_folder_is_refused_before_the_computation(tmp_path: Path) -> None:
    ct_series().write(tmp_path / "ct")
    segmenter = ThresholdSegmenter()
    with pytest.raises(Rejected, match="there is no folder"):
        segment_file(tmp_path / "ct", tmp_path / "absent" / "liver.dcm", segmenter)


@pytest.mark.parametrize("scale", [0.0, 0.001])
def test_a_nifti_without_air_is_refused_as_not_ct(tmp_path: Path, scale: float) -> None:
    volume = body(grid(AXIAL))
    values = (volume.array * scale).astype(np.float32)
    nibabel.save(volume.with_array(values).to_nibabel(), tmp_path / "scaled.nii.gz")
    with pytest.raises(Rejected, match="does not look like CT"):
        segment_file(tmp_path / "scaled.nii.gz", tmp_path / "liver.nii.gz", ThresholdSegmenter())
