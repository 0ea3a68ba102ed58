"""Which spacings of slices are accepted, and that masks of uneven ones keep their positions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.mask import Mask
from node.dicom.ct.reader import read_series
from node.dicom.results.source_slices.image_measurement import measure_in_images
from node.domain.errors import Rejected, RejectionReason
from node.domain.result_objects import SegEncoding
from tests.support.dicom.body import AXIAL, Directions, grid, oblique
from tests.support.dicom.builders import (
    LIVER,
    CtFiles,
    ThresholdSegmenter,
    ct_series,
    enhanced_ct,
    shift_slice,
)
from tests.support.dicom.results import content_of, encoded_seg
from tests.support.dicom.source_slices import (
    liver_on_source_slices,
    segment_on_source_slices,
)
from tests.support.peers.refusing_peer import only, refusal
from tests.support.shared_data import ct_files


def series_of(
    gaps_mm: Sequence[float], directions: Directions = AXIAL, *, tilt_degrees: float = 0.0
) -> CtFiles:
    """Returns a series of the body whose slices have these distances, with pixels of 1 mm."""
    count = len(gaps_mm) + 1
    geometry = grid(directions, slices=count, rows=110, columns=130, spacing_mm=(1.0, 1.0, 1.0))
    distances = np.concatenate([[0.0], np.cumsum(gaps_mm)])
    distances -= distances.mean() - (count - 1) / 2
    along, down, _ = (np.array(vector) for vector in geometry.unit_vectors())
    shear = np.tan(np.radians(tilt_degrees)) * down
    files = ct_series(geometry=geometry)

    def move(index: int, dataset: Dataset) -> None:
        shift = along * (distances[index] - index) + shear * (distances[index] - distances.mean())
        shift_slice(dataset, geometry, shift)

    return files.modify(move)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


ACCEPTED = [
    pytest.param([4.0] * 18 + [7.0] * 9, id="4 then 7"),
    pytest.param([7.0] * 10 + [4.0] * 15, id="7 then 4"),
    pytest.param([4.0] * 12 + [5.5] + [7.0] * 10, id="contiguous slices between"),
    pytest.param([4.0] * 13 + [1.08] + [7.0] * 10, id="overlapping slices between"),
    pytest.param([5.0] * 8 + [3.0] * 15 + [5.0] * 8, id="three pieces"),
    pytest.param([3.0] * 3 + [5.0] * 20, id="the shortest piece"),
    pytest.param([4.0, 4.1, 3.95] * 5 + [7.0, 6.8] * 5, id="rounded positions"),
    pytest.param([4.0] * 18 + [7.19] * 9, id="just below the gap of a missing slice"),
]


@pytest.mark.parametrize("gaps_mm", ACCEPTED)
@pytest.mark.parametrize("directions", [AXIAL, oblique()], ids=["axial", "oblique"])
def test_a_spacing_that_changes_is_resampled_by_true_positions(
    gaps_mm: list[float], directions: Directions, tmp_path: Path
) -> None:
    distances = np.concatenate([[0.0], np.cumsum(gaps_mm)])

    def show_distance(index: int, dataset: Dataset) -> None:
        stored = np.full((dataset.Rows, dataset.Columns), 1024 + 10 * distances[index])
        dataset.PixelData = np.rint(stored).astype("<u2").tobytes()

    files = series_of(gaps_mm, directions).modify(show_distance)
    series = read_series(files.write(tmp_path))
    assert series.slice_count == len(gaps_mm) + 1
    assert series.is_resampled
    assert series.volume.spacing[0] <= min(gaps_mm[0], gaps_mm[-1]) / 2 * 1.04
    assert series.extent_mm == pytest.approx(sum(gaps_mm))
    # Each source slice lies in the volume where its header says.
    for k, source in enumerate(series.sources):
        index = np.array([[series.grid.slice_indices[k], 0.0, 0.0]])
        (position,) = series.volume.map_indices_to_reference(index)
        np.testing.assert_allclose(position, source.ImagePositionPatient, atol=1e-4)
    # Values that are linear in the distance stay so: each voxel shows the distance where it lies.
    expected = 10 * np.arange(series.volume.shape[0]) * series.volume.spacing[0]
    np.testing.assert_allclose(series.volume.array[:, 50, 60], expected, atol=1.1)


@pytest.mark.parametrize("gaps_mm", ACCEPTED)
@pytest.mark.parametrize("encoding", [SegEncoding.ALL_FRAMES, SegEncoding.LABELMAP])
def test_the_mask_lies_on_the_unevenly_spaced_slices(
    gaps_mm: list[float], encoding: SegEncoding, tmp_path: Path
) -> None:
    series = read_series(series_of(gaps_mm).write(tmp_path))
    content = content_of(series)
    found = segment_on_source_slices(encoded_seg(content, encoding), series)
    truth = liver_on_source_slices(series)
    assert dice(found, truth) > 0.99
    truth_ml = 4 / 3 * np.pi * 24 * 18 * 30 / 1000
    assert content.measurements["Liver"].volume_ml == pytest.approx(truth_ml, rel=0.05)


def test_tilt_and_a_change_of_spacing_are_handled_together(tmp_path: Path) -> None:
    gaps_mm = [4.0] * 13 + [1.08] + [7.0] * 10
    series = read_series(series_of(gaps_mm, tilt_degrees=18.5).write(tmp_path))
    assert series.grid.is_sheared
    mask, measured = measure_in_images(series, ThresholdSegmenter().predict(series.volume))
    found = segment_on_source_slices(encoded_seg(content_of(series, mask)), series)
    assert dice(found, liver_on_source_slices(series)) > 0.98
    truth_ml = 4 / 3 * np.pi * 24 * 18 * 30 / 1000
    assert measured["Liver"].volume_ml == pytest.approx(truth_ml, rel=0.03)


@pytest.mark.parametrize(
    ("gaps_mm", "reason", "text"),
    [
        ([4.0] * 12 + [8.0] * 12, "uneven-spacing", "4.00 to 8.00"),
        ([4.0] * 14 + [8.0] * 9, "missing-slices", "8.00 mm, elsewhere 4.00"),
        ([4.0] * 12 + [7.21] * 12, "uneven-spacing", "4.00 to 7.21"),
        ([4.0] * 6 + [8.0] + [4.0] * 6 + [7.0] * 9, "missing-slices", "8.00 mm, elsewhere 4.00"),
        ([4.0] * 9 + [7.0] * 4 + [14.0] + [7.0] * 4, "missing-slices", "14.00 mm, elsewhere 7.00"),
        ([4.0] * 9 + [11.0] + [7.0] * 9, "missing-slices", "11.00 mm, elsewhere 7.00"),
        ([4.0] * 9 + [7.8] + [7.0] * 9, "uneven-spacing", "4.00 to 7.80"),
        ([4.0] * 9 + [5.0, 5.9] + [7.0] * 9, "uneven-spacing", "4.00 to 7.00"),
        ([4.0] * 9 + [7.0] * 2, "missing-slices", "7.00 mm, elsewhere 4.00"),
        ([7.0] + [4.0] * 9 + [5.0] * 3, "missing-slices", "7.00 mm, elsewhere 4.00"),
        ([4.0, 5.5] * 10, "uneven-spacing", "4.00 to 5.50"),
    ],
)
def test_a_missing_slice_or_an_irregular_spacing_is_refused(
    gaps_mm: list[float], reason: str, text: str, tmp_path: Path
) -> None:
    assert text in refusal(series_of(gaps_mm).write(tmp_path), RejectionReason(reason))


@pytest.mark.parametrize("lost", [3, 9, 10, 11, 15])
def test_a_slice_that_is_lost_beside_a_change_of_spacing_is_not_overlooked(
    lost: int, tmp_path: Path
) -> None:
    # Around slice 10 the slices overlap, so that no gap is wide where 9 or 10 is lost.
    datasets = list(series_of([4.0] * 9 + [1.08] + [7.0] * 9).datasets)
    del datasets[lost]
    files = CtFiles(tuple(datasets)).write(tmp_path)
    with pytest.raises(Rejected) as caught:
        read_series(files)
    assert caught.value.reason in (RejectionReason.MISSING_SLICES, RejectionReason.UNEVEN_SPACING)


@pytest.mark.parametrize("number", [None, 99])
def test_images_in_pieces_need_numbers_without_gap(number: int | None, tmp_path: Path) -> None:
    files = series_of([4.0] * 9 + [7.0] * 9)
    files.modify(only(5, lambda dataset: setattr(dataset, "InstanceNumber", number)))
    message = refusal(files.write(tmp_path), RejectionReason.UNEVEN_SPACING)
    assert "numbers of the images have a gap" in message


def test_images_may_be_numbered_from_head_to_feet(tmp_path: Path) -> None:
    def number(index: int, dataset: Dataset) -> None:
        dataset.InstanceNumber = 40 - index

    files = series_of([4.0] * 9 + [7.0] * 9).modify(number)
    assert read_series(files.write(tmp_path)).slice_count == 19


def test_the_frames_of_an_enhanced_ct_may_change_their_spacing(tmp_path: Path) -> None:
    enhanced = enhanced_ct()
    for k, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        plane = groups.PlanePositionSequence[0]
        x, y, z = plane.ImagePositionPatient
        plane.ImagePositionPatient = [x, y, z + 3.0 * max(0, k - 10)]
    path = tmp_path / "enhanced.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    series = read_series([path])
    assert series.slice_count == 24
    assert series.extent_mm == pytest.approx(10 * 6 + 13 * 9)


def test_a_real_head_with_tilt_and_two_spacings_is_read() -> None:
    series = read_series(ct_files("tilt-ge"))
    assert series.slice_count == 28
    assert series.grid.is_sheared
    gaps = np.diff(series.distances_mm)
    np.testing.assert_allclose(gaps, [4.0] * 13 + [1.08] + [7.0] * 13, atol=0.01)
    for k, source in enumerate(series.sources):
        index = np.array([[series.grid.slice_indices[k], *series.grid.offsets[k]]])
        (position,) = series.volume.map_indices_to_reference(index)
        assert np.linalg.norm(position - source.ImagePositionPatient) <= 0.5 * 0.4883


def test_the_bones_of_a_real_head_in_two_spacings_are_marked_where_they_are() -> None:
    files = {dcmread(path).SOPInstanceUID: path for path in ct_files("tilt-ge")}
    series = read_series(list(files.values()))
    bones = (series.volume.array > 300).astype(np.uint8)
    mask = Mask(series.volume.with_array(bones), (LIVER,))
    found = segment_on_source_slices(encoded_seg(content_of(series, mask)), series)
    images = [dcmread(files[source.SOPInstanceUID]) for source in series.sources]
    truth = np.stack([i.pixel_array * i.RescaleSlope + i.RescaleIntercept > 300 for i in images])
    scores = [dice(f, t) for f, t in zip(found, truth, strict=True)]
    assert dice(found, truth) > 0.95
    # A slice that belongs to another position would fit its neighbour better than itself.
    for k in range(1, len(truth) - 1):
        assert scores[k] > max(dice(found[k], truth[k - 1]), dice(found[k], truth[k + 1]))
