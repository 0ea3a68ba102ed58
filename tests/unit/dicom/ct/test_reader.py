"""Reading of a valid CT series: every orientation, encoding and pixel format gives HU."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from node.dicom.ct.reader import CtSeries, read_series
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    SAGITTAL,
    Directions,
    body,
    grid,
    in_liver,
    oblique,
    voxel_positions,
)
from tests.support.dicom.builders import ct_series
from tests.support.shared_data import ct_files

ORIENTATIONS = [
    pytest.param(AXIAL, id="axial"),
    pytest.param(FEET_FIRST, id="feet-first"),
    pytest.param(CORONAL, id="coronal"),
    pytest.param(SAGITTAL, id="sagittal"),
    pytest.param(oblique(), id="oblique"),
]


def assert_shows_the_body(series: CtSeries) -> None:
    """Asserts that every voxel has the value of the body at the position of the voxel."""
    expected = body(series.volume.get_geometry())
    # Voxels within a rounding error of an organ's surface may have either value.
    assert np.mean(series.volume.array != expected.array) < 1e-3


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_every_voxel_is_at_the_position_in_its_file(directions: Directions, tmp_path: Path) -> None:
    series = read_series(ct_series(directions).write(tmp_path))
    assert_shows_the_body(series)
    assert series.slice_count == 24
    assert not series.is_resampled
    assert in_liver(voxel_positions(series.volume))[series.volume.array == 120].all()


def test_slices_ascend_along_row_cross_column_whatever_the_order_of_files(tmp_path: Path) -> None:
    files = ct_series(AXIAL)
    backwards = type(files)(files.datasets[::-1])
    series = read_series(backwards.write(tmp_path))
    heights = [float(source.ImagePositionPatient[2]) for source in series.sources]
    assert heights == sorted(heights)
    np.testing.assert_allclose(series.volume.affine, grid(AXIAL).affine, atol=1e-9)


def test_sources_keep_headers_without_pixel_data(tmp_path: Path) -> None:
    series = read_series(ct_series().write(tmp_path))
    assert len(series.sources) == 24
    assert all("PixelData" not in source for source in series.sources)
    assert all(source.Modality == "CT" for source in series.sources)


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(syntax, id=syntax.name)
        for syntax in (
            ImplicitVRLittleEndian,
            ExplicitVRLittleEndian,
            DeflatedExplicitVRLittleEndian,
            RLELossless,
            JPEG2000Lossless,
        )
    ],
)
def test_lossless_transfer_syntaxes_give_the_same_volume(syntax: str, tmp_path: Path) -> None:
    series = read_series(ct_series(transfer_syntax_uid=syntax).write(tmp_path))
    assert (series.volume.array == body(grid(AXIAL)).array).all()


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(syntax, id=syntax.name)
        for syntax in (
            JPEGLossless,
            JPEGLosslessSV1,
            JPEGLSLossless,
            JPEG2000Lossless,
            HTJ2KLossless,
            HTJ2KLosslessRPCL,
            RLELossless,
        )
    ],
)
def test_a_decoder_is_installed_for_every_lossless_transfer_syntax(syntax: UID) -> None:
    assert get_decoder(syntax).is_available


def test_slope_and_intercept_are_applied_slice_by_slice(tmp_path: Path) -> None:
    def rescale(index: int, dataset: Dataset) -> None:
        if index % 2:
            stored = np.frombuffer(dataset.PixelData, "<u2")
            dataset.PixelData = (2 * stored - 24).astype("<u2").tobytes()
            dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-1012"
            del dataset.RescaleType  # may be missing; CT is in HU nevertheless

    series = read_series(ct_series().modify(rescale).write(tmp_path))
    assert series.volume.dtype == np.float32
    np.testing.assert_allclose(series.volume.array, body(grid(AXIAL)).array, atol=1e-4)


def test_signed_pixels_are_converted_to_hu(tmp_path: Path) -> None:
    def sign(_index: int, dataset: Dataset) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32) - 1024
        dataset.PixelData = stored.astype("<i2").tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
        dataset.BitsStored, dataset.HighBit = 16, 15

    series = read_series(ct_series().modify(sign).write(tmp_path))
    assert series.volume.dtype == np.int16
    assert (series.volume.array == body(grid(AXIAL)).array).all()


def test_pixel_padding_becomes_air(tmp_path: Path) -> None:
    def pad(_index: int, dataset: Dataset) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").copy()
        stored[:96] = 4000
        stored[96:144] = 4090
        dataset.PixelData = stored.tobytes()
        dataset.PixelPaddingValue, dataset.PixelPaddingRangeLimit = 4000, 4095

    series = read_series(ct_series().modify(pad).write(tmp_path))
    assert (series.volume.array[:, :3] == -1024).all()
    assert (series.volume.array[:, 3:] == body(grid(AXIAL)).array[:, 3:]).all()


def test_an_unsigned_padding_value_applies_to_signed_pixels(tmp_path: Path) -> None:
    def pad(_index: int, dataset: Dataset) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32) - 1024
        stored[:48] = -2000
        dataset.PixelData = stored.astype("<i2").tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)

    series = read_series(ct_series().modify(pad).write(tmp_path))
    assert (series.volume.array[:, 0] == -1024).all()


def test_uneven_slices_within_tolerance_are_resampled_by_their_true_positions(
    tmp_path: Path,
) -> None:
    paths = ct_series(geometry=grid(slices=60, spacing_mm=(2.5, 3.0, 3.0)), jitter_mm=0.1).write(
        tmp_path
    )
    series = read_series(paths)
    assert series.is_resampled
    np.testing.assert_allclose(series.volume.spacing[0], 2.5, atol=0.01)
    expected = body(series.volume.get_geometry()).array
    # Interpolation smooths the surfaces of the organs and shifts nothing.
    assert np.mean(np.abs(series.volume.array - expected) > 50) < 0.005
    np.testing.assert_allclose(series.grid.slice_indices, np.arange(60), atol=0.1)


def test_consecutive_acquisitions_of_one_scan_are_one_volume(tmp_path: Path) -> None:
    def number(index: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber = 1 + index // 6

    series = read_series(ct_series().modify(number).write(tmp_path))
    assert series.slice_count == 24


def test_two_files_of_the_same_instance_count_once(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(paths[3].read_bytes())
    assert read_series([*paths, copy]).slice_count == 24


def test_a_real_abdomen_is_read_in_hu() -> None:
    series = read_series(ct_files("chaos-set3"))
    assert series.volume.shape == (78, 512, 512)
    np.testing.assert_allclose(series.volume.spacing, (2.0, 0.7265625, 0.7265625))
    # Soft tissue in the centre, air in the corners.
    assert -100 < np.median(series.volume.array[39, 200:300, 200:300]) < 200
    assert series.volume.array[39, :20, :20].max() < -900


def test_a_real_jpeg_2000_series_whose_identifiers_were_emptied_is_decoded() -> None:
    series = read_series(ct_files("siemens-j2k"))
    assert series.volume.shape == (20, 512, 512)
    assert {source.SOPClassUID.name for source in series.sources} == {"CT Image Storage"}
    assert len({source.SOPInstanceUID for source in series.sources}) == 20
