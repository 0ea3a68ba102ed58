"""Captures show the organs where they are, on the source slices, and name no patient."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.captures.capture import CaptureOptions, CaptureStyle, encode
from node.dicom.results.content import ResultContent
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices
from node.dicom.results.transcoding import uncompressed
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    LIVER_HU,
    SAGITTAL,
    TISSUE_HU,
    Directions,
    grid,
    in_liver,
    oblique,
)
from tests.support.dicom.builders import LIVER, SPLEEN, ct_series, enhanced_ct
from tests.support.dicom.result_content import liver_content, read_back
from tests.support.dicom.results import content_of, part10

CAPTURE = ResultObject(ResultKind.CAPTURE)
ORIENTATIONS = [
    pytest.param(AXIAL, id="axial"),
    pytest.param(FEET_FIRST, id="feet-first"),
    pytest.param(CORONAL, id="coronal"),
    pytest.param(SAGITTAL, id="sagittal"),
    pytest.param(oblique(), id="oblique"),
]


def captures(content: ResultContent, options: CaptureOptions | None = None) -> list[Dataset]:
    chosen = CaptureOptions() if options is None else options
    return [read_back(dataset) for dataset in encode(content, CAPTURE, chosen)]


def slice_pixels(capture: Dataset, series: CtSeries) -> NDArray[np.uint8]:
    """Returns the part of the capture that is the slice, (row, column, RGB)."""
    rows, columns = series.grid.image_size
    assert capture.Columns == columns
    picture: NDArray[np.uint8] = pixel_array(capture)[:rows]
    return picture


def coloured(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = picture.max(axis=-1) != picture.min(axis=-1)
    return inside


def pixel_positions(capture: Dataset, rows: int) -> NDArray[np.float64]:
    """Returns the position of each pixel as the capture states it, (row, column, 3) LPS mm."""
    orientation = np.array(capture.ImageOrientationPatient, dtype=float)
    between_rows, between_columns = (float(v) for v in capture.PixelSpacing)
    row, column = np.mgrid[:rows, : capture.Columns].astype(float)
    positions: NDArray[np.float64] = (
        np.array(capture.ImagePositionPatient, dtype=float)
        + column[..., np.newaxis] * between_columns * orientation[:3]
        + row[..., np.newaxis] * between_rows * orientation[3:]
    )
    return positions


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return read_series(ct_series(oblique()).write(tmp_path_factory.mktemp("ct")))


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_the_coloured_pixels_are_those_of_the_liver_in_the_patient(
    directions: Directions, tmp_path: Path
) -> None:
    """The ground truth is evaluated at the positions that the captures themselves state."""
    series = read_series(ct_series(directions).write(tmp_path))
    found = 0
    for capture in captures(liver_content(series)):
        inside = coloured(slice_pixels(capture, series))
        truth = in_liver(pixel_positions(capture, series.volume.spatial_shape[1]))
        # Only a pixel whose centre is on the surface may differ, by rounding of the position.
        assert np.count_nonzero(inside != truth) <= 1
        found += int(np.count_nonzero(inside))
    assert found > 500


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_each_capture_lies_on_the_slice_that_it_refers_to(
    directions: Directions, tmp_path: Path
) -> None:
    series = read_series(ct_series(directions).write(tmp_path))
    by_uid = {source.SOPInstanceUID: source for source in series.sources}
    for capture in captures(liver_content(series)):
        source = by_uid.pop(capture.SourceImageSequence[0].ReferencedSOPInstanceUID)
        for keyword in (
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
            "SliceThickness",
            "FrameOfReferenceUID",
            "InstanceNumber",
        ):
            assert capture[keyword].value == source[keyword].value
        assert capture.SourceImageSequence[0].SpatialLocationsPreserved == "YES"
        referenced = capture.ReferencedSeriesSequence[0]
        assert referenced.SeriesInstanceUID == source.SeriesInstanceUID
        (instance,) = referenced.ReferencedInstanceSequence
        assert instance.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert not by_uid


@pytest.mark.parametrize("frame_order", [None, [*range(12, 24), *range(12)]])
def test_captures_of_a_multi_frame_ct_lie_on_its_frames(
    frame_order: list[int] | None, tmp_path: Path
) -> None:
    path = tmp_path / "ct.dcm"
    enhanced_ct(oblique(), frame_order=frame_order).save_as(path, enforce_file_format=True)
    series = read_series([path])
    made = captures(liver_content(series))
    assert len(made) == 24
    source = series.sources[0]
    for capture in made:
        number = capture.SourceImageSequence[0].ReferencedFrameNumber
        frame = source.PerFrameFunctionalGroupsSequence[number - 1]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        assert capture.ImagePositionPatient == position
        assert capture.InstanceNumber == number
        measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        assert capture.SliceThickness == measures.SliceThickness
        truth = in_liver(pixel_positions(capture, series.volume.spatial_shape[1]))
        assert np.count_nonzero(coloured(slice_pixels(capture, series)) != truth) <= 1


def test_captures_of_a_resampled_series_show_what_the_seg_has(tmp_path: Path) -> None:
    series = read_series(ct_series(jitter_mm=0.5).write(tmp_path))
    assert series.is_resampled
    content = liver_content(series)
    expected = labels_on_source_slices(content.mask, series)
    for k, capture in enumerate(captures(content)):
        assert capture.ImagePositionPatient == series.sources[k].ImagePositionPatient
        assert (coloured(slice_pixels(capture, series)) == (expected[k] > 0)).all()


@pytest.mark.parametrize(("tilt", "swing"), [(18.5, 0.0), (0.0, -12.0)])
def test_captures_of_a_tilted_series_lie_on_its_slices(
    tilt: float, swing: float, tmp_path: Path
) -> None:
    series = read_series(ct_series(tilt_degrees=tilt, swing_degrees=swing).write(tmp_path))
    assert series.grid.is_sheared
    for k, capture in enumerate(captures(content_of(series))):
        assert capture.ImagePositionPatient == series.sources[k].ImagePositionPatient
        truth = in_liver(pixel_positions(capture, series.grid.image_size[0]))
        assert (coloured(slice_pixels(capture, series)) == truth).all()


def test_a_window_maps_hounsfield_units_to_grey(series: CtSeries) -> None:
    """PS3.3 C.11.2.1.2.1 with centre 40 and width 400: 20 HU is 45.1 % of the range."""
    content = liver_content(series)
    capture = captures(content)[12]
    picture = slice_pixels(capture, series)
    tissue = series.volume.array[12] == TISSUE_HU
    assert set(picture[tissue].ravel()) == {round((((TISSUE_HU - 39.5) / 399) + 0.5) * 255)}
    narrow = CaptureOptions(window_centre_hu=100, window_width_hu=41)
    picture = slice_pixels(captures(content, narrow)[12], series)
    assert set(picture[tissue].ravel()) == {0}


def test_a_contour_leaves_the_inside_of_the_organ_grey(series: CtSeries) -> None:
    content = liver_content(series)
    contour = captures(content, CaptureOptions(style=CaptureStyle.CONTOUR))[12]
    filled = captures(content)[12]
    edge, inside = (coloured(slice_pixels(c, series)) for c in (contour, filled))
    assert 0 < np.count_nonzero(edge) < np.count_nonzero(inside) / 2
    assert not (edge & ~inside).any()
    picture = slice_pixels(contour, series)
    assert (picture[edge] == LIVER.display_rgb).all()
    liver_grey = round((((LIVER_HU - 39.5) / 399) + 0.5) * 255)
    assert set(picture[inside & ~edge].ravel()) == {liver_grey}


def test_each_organ_has_its_own_colour(series: CtSeries) -> None:
    content = liver_content(series, labels=(LIVER, SPLEEN))
    colours: set[tuple[int, ...]] = set()
    for capture in captures(content, CaptureOptions(style=CaptureStyle.CONTOUR)):
        picture = slice_pixels(capture, series)
        colours |= {tuple(map(int, rgb)) for rgb in picture[coloured(picture)]}
    assert colours == {LIVER.display_rgb, SPLEEN.display_rgb}


def test_the_strip_below_the_slice_changes_with_the_volumes_only(series: CtSeries) -> None:
    rows = series.volume.spatial_shape[1]
    content = liver_content(series)
    strips = [pixel_array(capture)[rows:] for capture in captures(content)]
    assert all((strip == strips[0]).all() for strip in strips)
    assert strips[0].max() > 200  # there is text
    cut = replace(content.measurements["Liver"], cut_by_series=True)
    other = captures(replace(content, measurements={"Liver": cut}))[0]
    assert (
        pixel_array(other)[rows:].shape != strips[0].shape
        or (pixel_array(other)[rows:] != strips[0]).any()
    )


def test_captures_are_one_series_of_derived_images_without_patient_data(series: CtSeries) -> None:
    made = captures(liver_content(series))
    assert len({capture.SeriesInstanceUID for capture in made}) == 1
    assert len({capture.SOPInstanceUID for capture in made}) == len(made)
    assert made[0].SeriesInstanceUID != series.sources[0].SeriesInstanceUID
    for capture in made:
        assert capture.StudyInstanceUID == series.sources[0].StudyInstanceUID
        assert list(capture.ImageType) == ["DERIVED", "SECONDARY"]
        assert capture.BurnedInAnnotation == "NO"
        assert capture.ConversionType == "WSD"
        assert capture.DateOfSecondaryCapture == capture.ContentDate
        assert "LossyImageCompression" not in capture
        assert "RecognizableVisualFeatures" not in capture


@pytest.mark.parametrize(
    ("directions", "expected"),
    [(AXIAL, ["L", "P"]), (FEET_FIRST, ["R", "A"]), (CORONAL, ["L", "F"]), (SAGITTAL, ["P", "F"])],
)
def test_the_patient_orientation_is_that_of_rows_and_columns(
    directions: Directions, expected: list[str], tmp_path: Path
) -> None:
    series = read_series(ct_series(directions).write(tmp_path))
    assert list(next(encode(liver_content(series), CAPTURE)).PatientOrientation) == expected


def test_captures_of_lossy_images_declare_it(tmp_path: Path) -> None:
    def declare(index: int, dataset: Dataset) -> None:
        if index == 3:
            dataset.LossyImageCompression = "01"
            dataset.LossyImageCompressionRatio = "8"
            dataset.LossyImageCompressionMethod = "ISO_10918_1"

    series = read_series(ct_series().modify(declare).write(tmp_path))
    lossy = [c for c in captures(liver_content(series)) if "LossyImageCompression" in c]
    assert [c.LossyImageCompression for c in lossy] == ["01"]
    assert lossy[0].LossyImageCompressionRatio == 8
    assert lossy[0].InstanceNumber == series.sources[3].InstanceNumber


def test_a_source_without_thickness_and_numbers_gives_none(tmp_path: Path) -> None:
    def remove(_index: int, dataset: Dataset) -> None:
        dataset.SliceThickness = None
        dataset.InstanceNumber = 1

    series = read_series(ct_series().modify(remove).write(tmp_path))
    made = captures(liver_content(series))
    assert [capture.InstanceNumber for capture in made] == list(range(1, len(made) + 1))
    assert all(capture.SliceThickness is None for capture in made)


def test_images_are_made_one_by_one(series: CtSeries) -> None:
    images = encode(liver_content(series), CAPTURE)
    assert isinstance(images, Iterator)
    assert next(images).SOPInstanceUID != next(images).SOPInstanceUID


def test_equal_content_gives_equal_bytes(series: CtSeries) -> None:
    one, other = (
        [part10(capture) for capture in encode(liver_content(series), CAPTURE)] for _ in range(2)
    )
    assert one == other


def test_the_uncompressed_form_is_the_same_instance_with_the_same_pixels(tmp_path: Path) -> None:
    series = read_series(ct_series(geometry=grid(slices=4)).write(tmp_path))
    for capture in encode(liver_content(series), CAPTURE):
        assert capture.file_meta.TransferSyntaxUID == JPEG2000Lossless
        plain = read_back(uncompressed(capture))
        assert plain.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert plain.SOPInstanceUID == capture.SOPInstanceUID
        assert plain.PhotometricInterpretation == "RGB"
        assert (pixel_array(plain) == pixel_array(read_back(capture))).all()
        assert len(plain.PixelData) == plain.Rows * plain.Columns * 3


def test_a_window_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="wider"):
        CaptureOptions(window_width_hu=0)
