"""A series with gantry tilt becomes an upright volume; its mask returns to the tilted slices."""

from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.mask import Mask
from models.measurement import measure
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.source_slices.image_measurement import measure_in_images
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices
from node.domain.result_objects import SegEncoding
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    Directions,
    body,
    grid,
    in_liver,
    oblique,
    voxel_positions,
)
from tests.support.dicom.builders import LIVER, CtFiles, ThresholdSegmenter, ct_series, enhanced_ct
from tests.support.dicom.results import content_of, encoded_seg
from tests.support.dicom.source_slices import liver_on_source_slices, segment_on_source_slices
from tests.support.peers.refusing_peer import every
from tests.support.shared_data import ct_files

TILTS = [
    pytest.param(AXIAL, 18.5, 0.0, id="axial"),
    pytest.param(AXIAL, -25.0, 0.0, id="axial, other way"),
    pytest.param(FEET_FIRST, 15.0, 0.0, id="feet-first"),
    pytest.param(CORONAL, 0.0, 12.0, id="coronal, along rows"),
    pytest.param(oblique(), 20.0, -8.0, id="oblique, along rows and columns"),
]


def fine_series(
    directions: Directions, tilt: float, swing: float = 0.0, *, jitter_mm: float = 0.0
) -> CtFiles:
    """Returns a tilted series of the body with pixels of 1 mm."""
    geometry = grid(directions, slices=40, rows=110, columns=130, spacing_mm=(3.0, 1.0, 1.0))
    return ct_series(geometry=geometry, tilt_degrees=tilt, swing_degrees=swing, jitter_mm=jitter_mm)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(("directions", "tilt", "swing"), TILTS)
def test_the_volume_shows_the_body_at_its_true_position(
    directions: Directions, tilt: float, swing: float, tmp_path: Path
) -> None:
    series = read_series(fine_series(directions, tilt, swing).write(tmp_path))
    assert series.is_resampled
    assert series.grid.is_sheared
    np.testing.assert_allclose(series.volume.spacing, (3.0, 1.0, 1.0), atol=1e-6)
    for axis, expected in zip(
        series.volume.unit_vectors(), grid(directions).unit_vectors(), strict=True
    ):
        assert abs(np.dot(axis, expected)) == pytest.approx(1.0)
    truth = in_liver(voxel_positions(series.volume))
    found = series.volume.array == 120
    shown = truth & (series.volume.array > -1024)  # some of the grid is outside the images
    assert shown.sum() > 0.95 * truth.sum()
    # A voxel is at most half a pixel from its position in the volume.
    assert dice(found, shown) > 0.98
    offset_mm = voxel_positions(series.volume)[found].mean(0) - voxel_positions(series.volume)[
        shown
    ].mean(0)
    assert np.abs(offset_mm).max() < 0.1


@pytest.mark.parametrize(("directions", "tilt", "swing"), TILTS)
@pytest.mark.parametrize("encoding", SegEncoding)
def test_the_mask_lies_exactly_on_the_tilted_slices(
    directions: Directions, tilt: float, swing: float, encoding: SegEncoding, tmp_path: Path
) -> None:
    series = read_series(fine_series(directions, tilt, swing).write(tmp_path))
    truth = liver_on_source_slices(series)
    seg = encoded_seg(content_of(series), encoding)
    assert (segment_on_source_slices(seg, series) == truth).all()
    # A reader must not stack the frames along their normal (PS3.3 C.7.6.16.2.1, C.7.6.17).
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert "SpacingBetweenSlices" not in measures
    assert seg.get("DimensionOrganizationType") != "3D"


def test_a_mask_of_uneven_tilted_slices_lies_on_them(tmp_path: Path) -> None:
    series = read_series(fine_series(AXIAL, 18.5, jitter_mm=0.25).write(tmp_path))
    assert not series.grid.has_source_slices
    found = segment_on_source_slices(encoded_seg(content_of(series)), series)
    assert dice(found, liver_on_source_slices(series)) > 0.99


def test_every_pixel_of_the_images_is_one_voxel(tmp_path: Path) -> None:
    paths = fine_series(AXIAL, 18.5).write(tmp_path)
    series = read_series(paths)
    upright = ct_series(geometry=grid(slices=40, rows=110, columns=130, spacing_mm=(3.0, 1.0, 1.0)))
    assert series.volume.shape[1] > upright.datasets[0].Rows
    values = np.stack(list(series.grid.on_source_slices(series.volume.array)))
    for source, image in zip(series.sources, values, strict=True):
        (original,) = [
            d
            for d in fine_series(AXIAL, 18.5).datasets
            if d.SOPInstanceUID == source.SOPInstanceUID
        ]
        stored = np.frombuffer(original.PixelData, "<u2").reshape(image.shape)
        assert (image == stored.astype(np.int32) - 1024).all()


def test_volume_and_attenuation_are_those_of_the_tilted_slices(tmp_path: Path) -> None:
    series = read_series(fine_series(AXIAL, 18.5).write(tmp_path))
    mask, measured = measure_in_images(series, ThresholdSegmenter().predict(series.volume))
    expected_ml = liver_on_source_slices(series).sum() * 3 / 1000
    assert measured["Liver"].volume_ml == pytest.approx(expected_ml)
    assert measured["Liver"].mean_hu == 120
    assert not measured["Liver"].touches_field_of_view
    assert (mask.volume.array == (series.volume.array > 70)).all()


def cut_series(tmp_path: Path) -> CtSeries:
    """Returns a tilted series whose images end within the liver, in front of it."""
    geometry = grid(
        slices=40, rows=60, columns=130, spacing_mm=(3.0, 1.0, 1.0), centre=(0.0, -5.0, 0.0)
    )
    return read_series(ct_series(geometry=geometry, tilt_degrees=15.0).write(tmp_path))


def test_an_organ_at_the_edge_of_the_tilted_images_touches_the_field_of_view(
    tmp_path: Path,
) -> None:
    series = cut_series(tmp_path)
    mask = ThresholdSegmenter().predict(series.volume)
    # The edge of the images is not that of the volume.
    assert not measure(series.volume, mask)["Liver"].touches_field_of_view
    assert measure_in_images(series, mask)[1]["Liver"].touches_field_of_view


def test_voxels_that_no_image_shows_do_not_count(tmp_path: Path) -> None:
    series = cut_series(tmp_path)
    everything = np.ones(series.volume.shape, dtype=np.uint8)
    mask, measured = measure_in_images(series, Mask(series.volume.with_array(everything), (LIVER,)))
    assert measured["Liver"].volume_ml == pytest.approx(40 * 60 * 130 * 3 / 1000)
    assert labels_on_source_slices(mask, series).all()
    assert mask.volume.array.sum() == 40 * 60 * 130


@pytest.mark.parametrize("stated", ["18.5", "-18", "19.4", ""])
def test_a_stated_tilt_that_agrees_is_accepted(stated: str, tmp_path: Path) -> None:
    def state(dataset: Dataset) -> None:
        dataset.GantryDetectorTilt = stated

    files = ct_series(tilt_degrees=18.5).modify(every(state))
    assert read_series(files.write(tmp_path)).grid.is_sheared


def test_an_upright_series_keeps_its_slices(tmp_path: Path) -> None:
    series = read_series(ct_series().write(tmp_path))
    assert not series.is_resampled
    assert series.volume.array.shape == body(grid()).array.shape
    assert set(series.grid.offsets) == {(0, 0)}


@pytest.mark.parametrize("encoding", SegEncoding)
def test_the_mask_of_a_tilted_enhanced_ct_is_on_its_frames(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    order = [*range(12, 24), *range(11, -1, -1)]
    enhanced = enhanced_ct(frame_order=order)
    for groups, k in zip(enhanced.PerFrameFunctionalGroupsSequence, order, strict=True):
        plane = groups.PlanePositionSequence[0]
        x, y, z = plane.ImagePositionPatient
        plane.ImagePositionPatient = [x, y + 2.0 * k, z]
    path = tmp_path / "enhanced.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    series = read_series([path])
    assert series.grid.is_sheared
    decoded = Segmentation.from_dataset(encoded_seg(content_of(series), encoding))
    found = decoded.get_pixels_by_source_frame(
        enhanced.SOPInstanceUID,
        range(1, 25),
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    assert ((found[..., 0] > 0) == (enhanced.pixel_array > 1024 + 70)).all()


def test_a_real_tilted_head_is_read_upright() -> None:
    series = read_series(ct_files("tilt-philips"))
    assert series.slice_count == 54
    assert series.grid.is_sheared
    assert series.grid.has_source_slices
    rows = round(53 * 2.5 * np.sin(np.radians(18.5)) / 0.482421875)
    assert series.volume.shape == (54, 512 + rows, 512)
    np.testing.assert_allclose(
        series.volume.spacing, (2.5 * np.cos(np.radians(18.5)), 0.482421875, 0.482421875), rtol=1e-5
    )
    # Each source slice lies in the volume within half a pixel of where its header says.
    for k, (source, (top, left)) in enumerate(
        zip(series.sources, series.grid.offsets, strict=True)
    ):
        (position,) = series.volume.map_indices_to_reference(np.array([[k, top, left]]))
        assert np.linalg.norm(position - source.ImagePositionPatient) <= 0.5 * 0.4825


def test_the_bones_of_a_real_tilted_head_are_marked_pixel_by_pixel() -> None:
    files = {dcmread(path).SOPInstanceUID: path for path in ct_files("tilt-philips")}
    series = read_series(list(files.values()))
    bones = (series.volume.array > 300).astype(np.uint8)
    mask = Mask(series.volume.with_array(bones), (LIVER,))
    seg = encoded_seg(content_of(series, mask), SegEncoding.LABELMAP)
    found = segment_on_source_slices(seg, series)
    for source, marked in zip(series.sources, found, strict=True):
        image = dcmread(files[source.SOPInstanceUID])
        hu = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        assert (marked == (hu > 300)).all()
