"""Every unsuitable series is refused with the reason and advice."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from node.dicom.ct.reader import read_series
from node.domain.errors import RejectionReason
from tests.support.dicom.body import grid, oblique
from tests.support.dicom.builders import CtFiles, ct_series
from tests.support.peers.refusing_peer import every, only, refusal


def test_another_modality_is_refused(tmp_path: Path) -> None:
    def to_mr(dataset: Dataset) -> None:
        dataset.Modality = "MR"

    message = refusal(ct_series().modify(every(to_mr)).write(tmp_path), RejectionReason.NOT_CT)
    assert "not CT" in message
    assert "MR" in message


def test_a_secondary_capture_is_refused(tmp_path: Path) -> None:
    def to_capture(dataset: Dataset) -> None:
        dataset.SOPClassUID = SecondaryCaptureImageStorage

    message = refusal(ct_series().modify(every(to_capture)).write(tmp_path), RejectionReason.NOT_CT)
    assert "Secondary Capture" in message


def test_colour_pictures_are_refused(tmp_path: Path) -> None:
    def to_colour(dataset: Dataset) -> None:
        dataset.SamplesPerPixel = 3

    refusal(ct_series().modify(every(to_colour)).write(tmp_path), RejectionReason.NOT_CT)


def test_a_localizer_is_refused(tmp_path: Path) -> None:
    message = refusal(ct_series(localizer=range(24)).write(tmp_path), RejectionReason.LOCALIZER)
    assert "scout" in message


def test_a_localizer_without_geometry_is_still_called_a_localizer(tmp_path: Path) -> None:
    def bare(dataset: Dataset) -> None:
        del dataset.ImagePositionPatient

    files = ct_series(localizer=range(24)).modify(only(0, bare))
    refusal(files.write(tmp_path), RejectionReason.LOCALIZER)


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    message = refusal(ct_series(missing=[7]).write(tmp_path), RejectionReason.MISSING_SLICES)
    assert "between image 7 and image 9" in message
    assert "12.00 mm, elsewhere 6.00 mm" in message
    assert "1 of 24 slices did not arrive" in message


def test_a_missing_slice_in_an_oblique_series_is_refused(tmp_path: Path) -> None:
    files = ct_series(oblique(), missing=[7, 8])
    message = refusal(files.write(tmp_path), RejectionReason.MISSING_SLICES)
    assert "2 of 24 slices" in message


def test_duplicate_positions_are_refused(tmp_path: Path) -> None:
    message = refusal(
        ct_series(duplicate=[3, 4]).write(tmp_path), RejectionReason.DUPLICATE_POSITIONS
    )
    assert message.startswith("2 positions carry more than one image")


def other_phase(attribute: str, value: object) -> CtFiles:
    """Builds a series in which a second phase covers the same slices."""

    def number(index: int, dataset: Dataset) -> None:
        if index >= 24:
            setattr(dataset, attribute, value)

    return ct_series(duplicate=range(24)).modify(number)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("AcquisitionNumber", 2),
        ("TemporalPositionIdentifier", 2),
        ("KVP", "80"),
        ("AcquisitionTime", "120130"),
        ("ConvolutionKernel", "B70f"),
    ],
)
def test_two_phases_at_the_same_positions_are_refused(
    attribute: str, value: object, tmp_path: Path
) -> None:
    message = refusal(
        other_phase(attribute, value).write(tmp_path), RejectionReason.SEVERAL_ACQUISITIONS
    )
    assert "each phase as a series of its own" in message
    assert "24 slices" in message


def test_two_phases_with_interleaved_positions_are_refused(tmp_path: Path) -> None:
    def number(index: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber = 1 + index % 2

    refusal(ct_series().modify(number).write(tmp_path), RejectionReason.SEVERAL_ACQUISITIONS)


def test_uneven_spacing_beyond_tolerance_is_refused(tmp_path: Path) -> None:
    message = refusal(ct_series(jitter_mm=1.5).write(tmp_path), RejectionReason.UNEVEN_SPACING)
    assert "4.50 to 7.50 mm" in message


@pytest.mark.parametrize("stated", ["0", "8", "-17"])
def test_a_gantry_tilt_that_is_not_the_stated_one_is_refused(stated: str, tmp_path: Path) -> None:
    def declare_tilt(dataset: Dataset) -> None:
        dataset.GantryDetectorTilt = stated

    files = ct_series(tilt_degrees=15).modify(every(declare_tilt))
    message = refusal(files.write(tmp_path), RejectionReason.GANTRY_TILT)
    assert f"15.0°; the scanner says {abs(int(stated))}°" in message


def test_a_larger_tilt_than_that_of_any_gantry_is_refused(tmp_path: Path) -> None:
    message = refusal(ct_series(tilt_degrees=-36).write(tmp_path), RejectionReason.GANTRY_TILT)
    assert "36.0°" in message


def test_a_tilt_that_only_the_header_declares_is_accepted(tmp_path: Path) -> None:
    """The positions of the slices show no tilt, so the attribute is ignored."""

    def declare_tilt(dataset: Dataset) -> None:
        dataset.GantryDetectorTilt = "12"

    assert read_series(ct_series().modify(every(declare_tilt)).write(tmp_path)).slice_count == 24


def test_a_shifted_slice_in_a_tilted_series_is_refused(tmp_path: Path) -> None:
    def shift(dataset: Dataset) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 5, z]

    files = ct_series(tilt_degrees=15).modify(only(5, shift))
    refusal(files.write(tmp_path), RejectionReason.MIXED_GEOMETRY)


def test_a_missing_slice_in_a_tilted_series_is_refused(tmp_path: Path) -> None:
    files = ct_series(tilt_degrees=15, missing=[7])
    message = refusal(files.write(tmp_path), RejectionReason.MISSING_SLICES)
    assert "between image 7 and image 9" in message


def test_a_slice_shifted_in_the_plane_is_refused(tmp_path: Path) -> None:
    def shift(dataset: Dataset) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x + 20, y, z]

    message = refusal(
        ct_series().modify(only(5, shift)).write(tmp_path), RejectionReason.MIXED_GEOMETRY
    )
    assert "image 6 is shifted sideways by 20.0 mm" in message


def test_mixed_sizes_are_refused(tmp_path: Path) -> None:
    small = ct_series(geometry=grid(rows=20, columns=20)).datasets[20:]
    files = CtFiles((*ct_series().datasets[:20], *small))
    message = refusal(files.write(tmp_path), RejectionReason.MIXED_GEOMETRY)
    assert "20 of 40×48 pixels and 4 of 20×20 pixels" in message


def test_mixed_orientations_are_refused(tmp_path: Path) -> None:
    def turn(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    message = refusal(
        ct_series().modify(only(5, turn)).write(tmp_path), RejectionReason.MIXED_GEOMETRY
    )
    assert "not parallel" in message


def test_mixed_pixel_sizes_are_refused(tmp_path: Path) -> None:
    def grow(dataset: Dataset) -> None:
        dataset.PixelSpacing = [3.5, 3.5]

    message = refusal(
        ct_series().modify(only(5, grow)).write(tmp_path), RejectionReason.MIXED_GEOMETRY
    )
    assert "pixel sizes" in message


def test_slices_of_two_frames_of_reference_are_refused(tmp_path: Path) -> None:
    def move(dataset: Dataset) -> None:
        dataset.FrameOfReferenceUID = "1.2.3"

    refusal(ct_series().modify(only(5, move)).write(tmp_path), RejectionReason.MIXED_GEOMETRY)


def test_two_series_in_one_folder_are_refused(tmp_path: Path) -> None:
    both = CtFiles((*ct_series().datasets, *ct_series(seed="other").datasets))
    message = refusal(both.write(tmp_path), RejectionReason.MIXED_GEOMETRY)
    assert "2 different series" in message
