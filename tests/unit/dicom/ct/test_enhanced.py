"""Enhanced and Legacy Converted Enhanced CT give the same volume as single slices."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from node.dicom.ct.reader import read_series
from node.domain.errors import Rejected, RejectionReason
from tests.support.dicom.body import AXIAL, CORONAL, Directions, body, grid, oblique
from tests.support.dicom.builders import ct_series, enhanced_ct, legacy_converted


def written(dataset: Dataset, directory: Path) -> list[Path]:
    path = directory / "enhanced.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return [path]


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_frames_are_sorted_by_position(directions: Directions, tmp_path: Path) -> None:
    order = [*range(12, 24), *range(11, -1, -1)]
    series = read_series(written(enhanced_ct(directions, frame_order=order), tmp_path))
    assert (series.volume.array == body(grid(directions)).array).all()
    np.testing.assert_allclose(series.volume.affine, grid(directions).affine, atol=1e-6)
    assert series.frame_numbers == tuple(order.index(k) + 1 for k in range(24))
    assert len(series.sources) == 1
    assert series.sources[0].SOPClassUID == EnhancedCTImageStorage
    assert series.slice_count == 24


def test_a_legacy_converted_series_gives_the_volume_of_its_slices(tmp_path: Path) -> None:
    converted = legacy_converted(ct_series(oblique()))
    series = read_series(written(converted, tmp_path))
    assert series.sources[0].SOPClassUID == LegacyConvertedEnhancedCTImageStorage
    assert (series.volume.array == body(grid(oblique())).array).all()
    np.testing.assert_allclose(series.volume.affine, grid(oblique()).affine, atol=1e-6)


def test_the_reader_agrees_with_highdicom_on_the_geometry(tmp_path: Path) -> None:
    path = written(enhanced_ct(oblique()), tmp_path)[0]
    theirs = hd.imread(path).get_volume()
    ours = read_series([path]).volume
    np.testing.assert_allclose(theirs.match_geometry(ours.get_geometry()).array, ours.array)


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    order = [k for k in range(24) if k != 7]
    with pytest.raises(Rejected, match="between frame 7 and frame 8") as caught:
        read_series(written(enhanced_ct(frame_order=order), tmp_path))
    assert caught.value.reason is RejectionReason.MISSING_SLICES


def test_two_phases_in_one_enhanced_ct_are_refused(tmp_path: Path) -> None:
    enhanced = enhanced_ct(frame_order=[*range(24), *range(24)])
    for number, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        groups.FrameContentSequence[0].TemporalPositionIndex = 1 + number // 24
    with pytest.raises(Rejected) as caught:
        read_series(written(enhanced, tmp_path))
    assert caught.value.reason is RejectionReason.SEVERAL_ACQUISITIONS


def test_a_localizer_frame_type_is_refused(tmp_path: Path) -> None:
    enhanced = enhanced_ct()
    frame_type = enhanced.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0]
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    with pytest.raises(Rejected) as caught:
        read_series(written(enhanced, tmp_path))
    assert caught.value.reason is RejectionReason.LOCALIZER


def test_two_multi_frame_objects_in_one_series_are_refused(tmp_path: Path) -> None:
    first, second = enhanced_ct(), enhanced_ct()
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    other = tmp_path / "second.dcm"
    second.save_as(other, enforce_file_format=True)
    with pytest.raises(Rejected, match="one at a time") as caught:
        read_series([*written(first, tmp_path), other])
    assert caught.value.reason is RejectionReason.SEVERAL_ACQUISITIONS
