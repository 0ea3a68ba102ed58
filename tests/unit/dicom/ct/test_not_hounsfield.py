"""Objects of a CT class that are not one CT in Hounsfield units are refused with the reason."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from node.dicom.ct.reader import read_series
from node.domain.errors import RejectionReason
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.peers.refusing_peer import every, only, refusal


@pytest.mark.parametrize("kind", ["Z_EFF", "MGML", "US"])
def test_values_in_other_units_are_refused(tmp_path: Path, kind: str) -> None:
    def change(dataset: Dataset) -> None:
        dataset.RescaleType = kind

    message = refusal(ct_series().modify(every(change)).write(tmp_path), RejectionReason.NOT_CT)
    assert f"are {kind}, not Hounsfield units" in message


@pytest.mark.parametrize("kind", ["", "HU", "HU_MOD"])
def test_every_rescale_type_of_hounsfield_units_is_accepted(tmp_path: Path, kind: str) -> None:
    def change(dataset: Dataset) -> None:
        dataset.RescaleType = kind

    assert read_series(ct_series().modify(every(change)).write(tmp_path)).slice_count == 24


@pytest.mark.parametrize("kind", ["MIP", "MAX_IP", "VOLUME_RENDER"])
def test_projections_are_refused(tmp_path: Path, kind: str) -> None:
    def change(dataset: Dataset) -> None:
        dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL", kind]

    message = refusal(ct_series().modify(every(change)).write(tmp_path), RejectionReason.NOT_CT)
    assert "is a projection" in message


@pytest.mark.parametrize(
    ("keyword", "expected"), [("PatientID", "different patients"), ("StudyInstanceUID", "studies")]
)
def test_two_patients_or_studies_in_one_series_are_refused(
    tmp_path: Path, keyword: str, expected: str
) -> None:
    def other(index: int, dataset: Dataset) -> None:
        if index >= 12:
            setattr(dataset, keyword, "1.2.3.4711")

    message = refusal(ct_series().modify(other).write(tmp_path), RejectionReason.MIXED_GEOMETRY)
    assert expected in message
    assert "4711" not in message


def test_slices_without_patient_id_belong_to_the_same_patient(tmp_path: Path) -> None:
    def forget(dataset: Dataset) -> None:
        dataset.PatientID = ""

    assert read_series(ct_series().modify(only(0, forget)).write(tmp_path)).slice_count == 24


def test_interleaved_slices_of_two_kernels_are_refused(tmp_path: Path) -> None:
    def alternate(index: int, dataset: Dataset) -> None:
        dataset.ConvolutionKernel = "B30f" if index % 2 else "B70f"

    files = ct_series().modify(alternate).write(tmp_path)
    assert "lie between each other" in refusal(files, RejectionReason.SEVERAL_ACQUISITIONS)


def test_left_aligned_bits_are_refused(tmp_path: Path) -> None:
    def shift(dataset: Dataset) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 15

    refusal(ct_series().modify(every(shift)).write(tmp_path), RejectionReason.UNREADABLE)


def test_a_padding_value_that_is_no_number_is_ignored(tmp_path: Path) -> None:
    def pad(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "US", [5, 6])

    plain = read_series(ct_series().write(tmp_path / "plain"))
    padded = read_series(ct_series().modify(every(pad)).write(tmp_path / "padded"))
    assert (plain.volume.array == padded.volume.array).all()


def test_rows_that_are_no_number_are_refused(tmp_path: Path) -> None:
    def spoil(dataset: Dataset) -> None:
        dataset.add_new("Rows", "US", [40, 40])

    refusal(ct_series().modify(every(spoil)).write(tmp_path), RejectionReason.MISSING_GEOMETRY)


def test_drifting_gaps_keep_their_true_positions(tmp_path: Path) -> None:
    def drift(index: int, dataset: Dataset) -> None:
        # The upper slices are closer together; each gap is within the tolerance.
        x, y, z = (float(mm) for mm in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z - 0.25 * max(0, index - 10)]

    geometry = grid(slices=20, spacing_mm=(4.0, 3.0, 3.0))
    series = read_series(ct_series(geometry=geometry).modify(drift).write(tmp_path))
    assert series.is_resampled
    spacing = series.volume.spacing[0]
    np.testing.assert_allclose(np.multiply(series.grid.slice_indices, spacing), series.distances_mm)
    assert np.abs(series.grid.slice_indices - np.arange(20)).max() > 0.25
