"""Independent software agrees: dciodvfy finds no fault, plastimatch fills the same mask."""

import subprocess
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy import ndimage

from models.mask import Mask
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.contours.structure_set import encode
from node.domain.result_objects import ResultKind, ResultObject
from tests.pacs.conftest import StartOrthanc
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, oblique
from tests.support.dicom.builders import (
    LIVER,
    SPLEEN,
    ct_series,
    enhanced_ct,
    legacy_converted,
)
from tests.support.dicom.rasterised import rasterised
from tests.support.dicom.results import content_of, liver_mask
from tests.support.shared_data import ct_files
from tests.support.validators import program, saved, unlisted_reports

RTSTRUCT = ResultObject(ResultKind.RTSTRUCT)


def with_hole_and_island(mask: Mask) -> Mask:
    values = mask.volume.array.copy()
    values[10, 4:14, 4:14] = 1
    values[10, 6:12, 6:12] = 0
    values[10, 8:10, 8:10] = 1
    return Mask(volume=mask.volume.with_array(values), labels=mask.labels)


def structure_set(series: CtSeries, mask: Mask) -> Dataset:
    (dataset,) = encode(content_of(series, mask), RTSTRUCT)
    return dataset


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_dciodvfy_finds_nothing_in_a_structure_set(directions: Directions, tmp_path: Path) -> None:
    series = read_series(ct_series(directions).write(tmp_path / "ct"))
    mask = with_hole_and_island(liver_mask(series, (LIVER, SPLEEN)))
    path = saved(structure_set(series, mask), tmp_path / "rtstruct.dcm")
    assert unlisted_reports(path, "rtstruct") == []


@pytest.mark.parametrize("source_type", ["enhanced", "legacy converted"])
def test_dciodvfy_finds_nothing_in_the_structure_set_of_a_multi_frame_ct(
    source_type: str, tmp_path: Path
) -> None:
    source = enhanced_ct(oblique()) if source_type == "enhanced" else legacy_converted(ct_series())
    series = read_series([saved(source, tmp_path / "ct.dcm")])
    path = saved(structure_set(series, liver_mask(series)), tmp_path / "rtstruct.dcm")
    assert unlisted_reports(path, "rtstruct") == []


def test_dciodvfy_finds_no_error_in_the_structure_set_of_a_real_ct(tmp_path: Path) -> None:
    series = read_series(ct_files("chaos-set3"))
    smooth = ndimage.uniform_filter(series.volume.array.astype(np.float32), (1, 9, 9))
    volume = series.volume.with_array((smooth > -200).astype(np.uint8))  # the body, with air in it
    mask = Mask(volume=volume, labels=(LIVER,))
    path = saved(structure_set(series, mask), tmp_path / "rtstruct.dcm")
    assert unlisted_reports(path, "rtstruct", poor_source=True) == []


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_plastimatch_fills_the_contours_to_the_mask(directions: Directions, tmp_path: Path) -> None:
    plastimatch = program("plastimatch", "apt-get install plastimatch")
    series = read_series(ct_series(directions).write(tmp_path / "ct"))
    mask = with_hole_and_island(liver_mask(series))
    path = saved(structure_set(series, mask), tmp_path / "rtstruct.dcm")
    ct, prefix = tmp_path / "ct", tmp_path / "filled"
    files = ["--input", str(path), "--referenced-ct", str(ct), "--output-prefix", str(prefix)]
    done = subprocess.run(
        [plastimatch, "convert", *files, "--prefix-format", "nii.gz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = on_grid_of(series, prefix / "Liver.nii.gz")
    np.testing.assert_array_equal(found, mask.of(LIVER))


def on_grid_of(series: CtSeries, nifti: Path) -> NDArray[np.bool_]:
    """The voxels of a NIfTI mask in the order of the volume (slice, row, column)."""
    image = nibabel.load(nifti)
    to_lps = np.diag([-1, -1, 1, 1]) @ image.affine
    to_voxel = np.linalg.inv(series.volume.affine) @ to_lps
    index = np.argwhere(np.asarray(image.dataobj)) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
    voxels = np.zeros(series.volume.shape, dtype=bool)
    voxels[tuple(np.rint(index).astype(int).T)] = True
    return voxels


def test_orthanc_stores_and_returns_a_structure_set(
    start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    pacs = start_orthanc()
    files = ct_series(oblique()).write(tmp_path / "ct")
    series = read_series(files)
    mask = with_hole_and_island(liver_mask(series))
    sent = saved(structure_set(series, mask), tmp_path / "rtstruct.dcm")
    for file in files:
        pacs.upload(file)
    (instance,) = pacs.get(f"/series/{pacs.upload(sent)}")["Instances"]
    returned = pacs.file_of_instance(instance)
    assert returned == sent.read_bytes()
    (found,) = pacs.find_series(series.sources[0].StudyInstanceUID, "RTSTRUCT")
    assert found["MainDicomTags"]["SeriesDescription"].startswith("Contours")
    contours = dcmread(BytesIO(returned)).ROIContourSequence[0].ContourSequence
    np.testing.assert_array_equal(rasterised(contours, series), mask.of(LIVER))
