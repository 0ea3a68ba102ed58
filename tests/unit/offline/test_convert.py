"""DICOM to NIfTI and back: every voxel keeps its value and its position."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from models.data import find_cases, load_case
from models.data.images import read_image
from models.phantom import LIVER, abdomen, paint
from node.dicom.ct.files import find_dicom_files
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.offline.convert import to_nifti
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, grid, oblique
from tests.support.whole_command_line import app


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("directions", [AXIAL, CORONAL, FEET_FIRST, oblique()])
def test_a_series_keeps_its_geometry_there_and_back(tmp_path: Path, directions: Directions) -> None:
    geometry = grid(directions, slices=9, rows=12, columns=14, spacing_mm=(7.0, 2.5, 3.0))
    ct = paint(geometry, seed=1).volume
    write_ct_series(ct, tmp_path / "ct")
    code, output = _run("convert", tmp_path / "ct", tmp_path / "ct.nii.gz")
    assert (code, "9 × 12 × 14 voxels" in output) == (0, True)
    original = read_series(find_dicom_files([tmp_path / "ct"])).volume
    image = nibabel.load(tmp_path / "ct.nii.gz")
    # The position of each voxel of the series has the same value in the NIfTI.
    indices = np.argwhere(np.ones(original.spatial_shape, dtype=bool))
    positions = original.map_indices_to_reference(indices) * [-1, -1, 1]
    to_nifti_index = np.linalg.inv(image.affine)
    found = np.rint(positions @ to_nifti_index[:3, :3].T + to_nifti_index[:3, 3]).astype(int)
    values = np.asarray(image.dataobj)[tuple(found.T)]
    assert (values == original.array[tuple(indices.T)]).all()

    assert _run("convert", tmp_path / "ct.nii.gz", tmp_path / "back")[0] == 0
    back = read_series(find_dicom_files([tmp_path / "back"])).volume
    again = back.match_geometry(original.get_geometry())
    assert (again.array == original.array).all()


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path: Path) -> None:
    made = abdomen(1, spacing_mm=(30.0, 20.0, 20.0), shape=(8, 14, 16))
    to_nifti(made.volume, tmp_path / "ct.nii.gz")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(
        app, ["convert", str(tmp_path / "ct.nii.gz"), str(tmp_path / "full")]
    )
    assert "is not empty" in str(result.exception)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["note.txt"]


def test_a_data_set_is_converted_to_pairs_of_nifti(tmp_path: Path) -> None:
    made = abdomen(1, spacing_mm=(30.0, 20.0, 20.0), shape=(8, 14, 16))
    to_nifti(made.volume, tmp_path / "volume-1.nii")
    to_nifti(made.mask.volume.astype(np.uint8), tmp_path / "segmentation-1.nii")
    to_nifti(made.volume, tmp_path / "volume-2.nii")
    code, output = _run("convert", tmp_path, tmp_path / "out", "--layout", "lits")
    assert code == 1
    assert "volume-002: " in output
    assert "has no labels" in output
    (case,) = find_cases(tmp_path / "out", "pairs").cases
    loaded = load_case(case, (LIVER,))
    assert (loaded.truth.of(LIVER) == (made.mask.volume.array > 0)).all()


def test_the_dataset_command_lists_cases_and_fails_on_problems(tmp_path: Path) -> None:
    made = abdomen(1, spacing_mm=(30.0, 20.0, 20.0), shape=(8, 14, 16))
    to_nifti(made.volume, tmp_path / "a.nii.gz")
    to_nifti(made.mask.volume.astype(np.uint8), tmp_path / "a_seg.nii.gz")
    code, output = _run("dataset", tmp_path, "--json")
    assert code == 0
    assert '"name": "a"' in output
    nothing = made.mask.volume.with_array(np.zeros((8, 14, 16), np.uint8))
    to_nifti(nothing, tmp_path / "a_seg.nii.gz")
    assert _run("dataset", tmp_path)[0] == 1


def _nifti(path: Path, *, sform: int, qform: int) -> nibabel.Nifti1Image:
    array = np.full((4, 5, 6), -1000, dtype=np.int16)
    image = nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_sform(np.diag([2.0, 2.0, 2.0, 1.0]), code=sform)
    image.set_qform(np.diag([2.0, 2.0, 2.0, 1.0]), code=qform)
    nibabel.save(image, path)
    return image


def test_an_image_without_orientation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    _nifti(path, sform=0, qform=0)
    with pytest.raises(ValueError, match="neither sform nor qform"):
        read_image(path)


def test_an_image_with_contradictory_orientations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    image = _nifti(path, sform=1, qform=1)
    image.set_sform(np.diag([-2.0, 2.0, 2.0, 1.0]), code=1)
    nibabel.save(image, path)
    with pytest.raises(ValueError, match="two orientations in the patient"):
        read_image(path)


def test_missing_values_become_air_and_units_become_mm(tmp_path: Path) -> None:
    array = np.full((4, 5, 6), 40.5, dtype=np.float32)
    array[0, 0, 0] = np.nan
    image = nibabel.Nifti1Image(array, np.diag([0.002, 0.002, 0.002, 1.0]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    assert volume.array.min() == -1024
    assert volume.spacing == pytest.approx((2.0, 2.0, 2.0))
