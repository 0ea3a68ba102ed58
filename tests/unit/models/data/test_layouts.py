"""Labelled CT in common data set layouts: found, read, and placed on the grid of the image."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.data import Case, InvalidDataset, find_cases, load_case
from models.data.dataset_check import check_dataset
from models.manifest import Label
from models.phantom import LIVER, Phantom, abdomen
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.offline.convert import read_ct_folder, to_nifti
from tests.support.dicom.builders import SPLEEN, ct_series
from tests.support.dicom.results import content_of, encoded_seg
from tests.support.shared_data import shared_data

_SHAPE = (14, 30, 36)


@pytest.fixture(scope="module")
def made() -> Phantom:
    return abdomen(1, spacing_mm=(20.0, 9.0, 10.0), shape=_SHAPE)


def _labels(made: Phantom) -> hd.Volume:
    return made.mask.volume.astype(np.uint8)


def _write_pair(made: Phantom, image: Path, truth: Path, *, liver: int = 1) -> None:
    to_nifti(made.volume, image)
    to_nifti(made.mask.volume.with_array(_labels(made).array * np.uint8(liver)), truth)


def _assert_is_liver(case: Case, made: Phantom, labels: dict[str, list[int | str]] | None) -> None:
    loaded = load_case(case, (LIVER,), labels, read_ct_folder)
    assert loaded.volume.geometry_equal(made.volume)
    assert (loaded.volume.array == made.volume.array).all()
    assert (loaded.truth.of(LIVER) == (made.mask.volume.array > 0)).all()


def test_a_decathlon_task_names_its_values(tmp_path: Path, made: Phantom) -> None:
    _write_pair(
        made, tmp_path / "imagesTr/liver_1.nii.gz", tmp_path / "labelsTr/liver_1.nii.gz", liver=2
    )
    description = {
        "labels": {"0": "background", "1": "cancer", "2": "Liver"},
        "training": [{"image": "./imagesTr/liver_1.nii.gz", "label": "./labelsTr/liver_1.nii.gz"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    (case,) = find_cases(tmp_path, "msd").cases
    assert case.name == "liver_1"
    _assert_is_liver(case, made, None)
    _assert_is_liver(case, made, {"Liver": ["liver"]})
    with pytest.raises(InvalidDataset, match="no label is called 'gills'; known: cancer, Liver"):
        load_case(case, (LIVER,), {"Liver": ["gills"]})


def test_lits_liver_and_tumour_can_be_mapped_to_one_label(tmp_path: Path, made: Phantom) -> None:
    to_nifti(made.volume, tmp_path / "batch" / "volume-7.nii")
    values = _labels(made).array.copy()
    values[: _SHAPE[0] // 2] *= 2  # the lower half is labelled as tumour
    to_nifti(made.mask.volume.with_array(values), tmp_path / "batch" / "segmentation-7.nii")
    (case,) = find_cases(tmp_path, "lits").cases
    _assert_is_liver(case, made, {"Liver": [1, 2]})
    tumourless = load_case(case, (LIVER,), {"Liver": ["liver"]}).truth
    assert (tumourless.of(LIVER) == (values == 1)).all()


@pytest.mark.parametrize("backwards", [False, True])
def test_each_chaos_picture_belongs_to_its_dicom_file(
    tmp_path: Path, made: Phantom, backwards: bool
) -> None:
    dicom, ground = tmp_path / "3" / "DICOM_anon", tmp_path / "3" / "Ground"
    written = write_ct_series(made.volume, tmp_path / "written")
    order = list(range(len(written)))[:: -1 if backwards else 1]
    dicom.mkdir(parents=True)
    ground.mkdir()
    for number, k in enumerate(order):
        written[k].rename(dicom / f"i{number:04d},0000b.dcm")
        white: NDArray[np.uint8] = made.mask.volume.array[k].astype(np.uint8) * np.uint8(255)
        Image.fromarray(white).save(ground / f"liver_GT_{number:03d}.png")
    (case,) = find_cases(tmp_path, "chaos").cases
    assert case.name == "3"
    _assert_is_liver(case, made, None)
    (ground / "liver_GT_000.png").unlink()
    with pytest.raises(InvalidDataset, match="13 pictures for 14 files"):
        load_case(case, (LIVER,), None, read_ct_folder)


def test_label_names_of_both_nnunet_versions_are_read(tmp_path: Path, made: Phantom) -> None:
    for version, labels in ((1, {"0": "background", "1": "liver"}), (2, {"liver": 1})):
        folder = tmp_path / str(version)
        _write_pair(made, folder / "imagesTr/a_0000.nii.gz", folder / "labelsTr/a.nii.gz")
        (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
        (case,) = find_cases(folder, "nnunet").cases
        assert (case.name, case.names) == ("a", {1: "liver"})
        _assert_is_liver(case, made, None)


@pytest.mark.parametrize(
    ("image", "truth", "name"),
    [
        ("a.nii.gz", "a_seg.nii.gz", "a"),
        ("a.nii", "a_label.nii", "a"),
        ("body/ct.nii.gz", "body/labels.nii.gz", "body"),
        ("images/a.nii.gz", "labels/a.nii.gz", "a"),
    ],
)
def test_pairs_are_found_by_their_names(
    tmp_path: Path, made: Phantom, image: str, truth: str, name: str
) -> None:
    _write_pair(made, tmp_path / image, tmp_path / truth)
    (case,) = find_cases(tmp_path, "pairs").cases
    assert case.name == name
    _assert_is_liver(case, made, None)


def _seg(source: Sequence[Dataset], mask: NDArray[np.uint8], path: Path) -> None:
    """Writes a SEG as other software does, without empty frames."""
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Corrected",
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    hd.seg.Segmentation(
        source_images=source,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=hd.UID(),
        series_number=7,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Somebody",
        manufacturer_model_name="Editor",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=True,
    ).save_as(path)


def test_a_corrected_seg_becomes_training_data(tmp_path: Path, made: Phantom) -> None:
    source = [dcmread(path) for path in write_ct_series(made.volume, tmp_path / "ct")]
    corrected = made.mask.volume.array.astype(np.uint8)
    corrected[:6] = 0
    corrected[8, 10:14, 9:20] = 1
    (tmp_path / "results").mkdir()
    _seg(source, corrected, tmp_path / "results" / "seg.dcm")
    (case,) = find_cases(tmp_path, "dicom-seg").cases
    for labels in ({"Liver": ["corrected"]}, {"Liver": ["10200004"]}, {"Liver": [1]}, None):
        loaded = load_case(case, (LIVER,), labels, read_ct_folder)
        assert (loaded.truth.volume.array == corrected).all()


def test_the_ground_truth_has_only_the_labels_of_the_data_set(
    tmp_path: Path, made: Phantom
) -> None:
    to_nifti(made.volume, tmp_path / "volume-0.nii.gz")
    to_nifti(_labels(made), tmp_path / "segmentation-0.nii.gz")
    (case,) = find_cases(tmp_path, "lits").cases
    assert load_case(case, (LIVER, SPLEEN)).truth.labels == (LIVER,)
    # A mapping states that the data set outlines the organ.
    mapping = {"Liver": [1], "Spleen": [7]}
    assert load_case(case, (LIVER, SPLEEN), mapping).truth.labels == (LIVER, SPLEEN)
    with pytest.raises(InvalidDataset, match="none of the labels Spleen"):
        load_case(case, (replace(SPLEEN, index=1),))


def test_a_seg_outside_the_images_is_refused(tmp_path: Path, made: Phantom) -> None:
    written = write_ct_series(made.volume, tmp_path / "ct")
    away = [dcmread(path) for path in written]
    for dataset in away:
        dataset.ImagePositionPatient = [mm + 900 for mm in dataset.ImagePositionPatient]
    _seg(away, made.mask.volume.array.astype(np.uint8), tmp_path / "seg.dcm")
    (case,) = find_cases(tmp_path, "dicom-seg").cases
    with pytest.raises(InvalidDataset, match="lies outside of the images"):
        load_case(case, (LIVER,), None, read_ct_folder)


@pytest.mark.parametrize("tilt_degrees", [18.5, 0.7])
def test_a_seg_on_tilted_slices_is_refused(tilt_degrees: float, tmp_path: Path) -> None:
    paths = ct_series(tilt_degrees=tilt_degrees).write(tmp_path / "ct")
    seg = encoded_seg(content_of(read_series(paths)))
    seg.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    (case,) = find_cases(tmp_path, "dicom-seg").cases
    with pytest.raises(InvalidDataset, match="does not lie on the images' voxels"):
        load_case(case, (LIVER,), None, read_ct_folder)


def test_labels_on_another_grid_are_refused_and_not_resampled(
    tmp_path: Path, made: Phantom
) -> None:
    to_nifti(made.volume, tmp_path / "a.nii.gz")
    shifted = abdomen(1, spacing_mm=(20.0, 9.0, 10.0), shape=_SHAPE, centre_mm=(4.0, 0.0, 0.0))
    to_nifti(_labels(shifted), tmp_path / "a_seg.nii.gz")
    (case,) = find_cases(tmp_path, "pairs").cases
    with pytest.raises(InvalidDataset, match=r"lie on another grid \(14×30×36 voxels"):
        load_case(case, (LIVER,))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("msd", "dataset.json: No such file"),
        ("pairs", "holds no case in the layout pairs"),
        ("brats", "there is no layout 'brats'; known: pairs, msd"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, layout: str, message: str) -> None:
    with pytest.raises(InvalidDataset, match=message):
        find_cases(tmp_path, layout)


def test_the_check_reports_each_case_and_its_problem(tmp_path: Path, made: Phantom) -> None:
    _write_pair(made, tmp_path / "good.nii.gz", tmp_path / "good_seg.nii.gz")
    _write_pair(made, tmp_path / "none.nii.gz", tmp_path / "none_seg.nii.gz", liver=0)
    to_nifti(_labels(made), tmp_path / "odd.nii.gz")
    to_nifti(_labels(made), tmp_path / "odd_seg.nii.gz")
    (tmp_path / "torn.nii.gz").write_bytes(b"no NIfTI")
    to_nifti(_labels(made), tmp_path / "torn_seg.nii.gz")
    facts = {one.name: one for one in check_dataset(find_cases(tmp_path, "pairs"))}
    good = facts["good"]
    assert (good.size, good.problem) == (_SHAPE, "")
    assert good.spacing_mm == pytest.approx((20.0, 9.0, 10.0))
    voxels = int((made.mask.volume.array > 0).sum())
    assert good.labels is not None
    assert good.labels["1"] == pytest.approx(voxels * 1.8)
    assert "the labels are empty" in facts["none"].problem
    assert "do not look like Hounsfield units" in facts["odd"].problem
    assert "torn" in facts["torn"].problem


def test_the_real_example_is_a_pair() -> None:
    folder = shared_data() / "ct" / "totalsegmentator-example"
    (case,) = find_cases(folder, "pairs").cases
    labels = tuple(
        Label(k, name, LIVER.category, LIVER.type, (1, 2, 3))
        for k, name in enumerate(("Liver", "Spleen"), start=1)
    )
    loaded = load_case(case, labels)
    voxel_ml = float(loaded.volume.voxel_volume) / 1000
    assert loaded.truth.of(labels[0]).sum() * voxel_ml == pytest.approx(1123, abs=2)
    # The liver lies on the right, the spleen on the left.
    right, left = (
        loaded.volume.map_indices_to_reference(np.argwhere(loaded.truth.of(label)))[:, 0].mean()
        for label in labels
    )
    assert right < left
