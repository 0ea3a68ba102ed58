"""What the slice viewer shows: order and positions of the slices, frames on each, colours."""

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.dicom.ct.reader import read_series
from node.domain.errors import Rejected
from node.domain.result_objects import SegEncoding
from node.web.viewer.colours import rgb_of_lab
from node.web.viewer.overlays import Overlay, overlay_of
from node.web.viewer.source_slices import SourceSlices, Window, source_slices
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    SAGITTAL,
    Directions,
    in_liver,
    oblique,
    voxel_positions,
)
from tests.support.dicom.builders import LIVER, SPLEEN, ct_series, enhanced_ct
from tests.support.dicom.phases import PHASE_SLICES, two_phases
from tests.support.dicom.results import content_of, encoded_seg, liver_mask
from tests.support.dicom.source_slices import plane


def seg_of(
    datasets: Sequence[Dataset], folder: Path, encoding: SegEncoding = SegEncoding.ALL_FRAMES
) -> Dataset:
    """Returns the SEG of the liver and, as a second segment, of its upper part."""
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    series = read_series(paths)
    mask = liver_mask(series, (LIVER, SPLEEN))
    return encoded_seg(content_of(series, mask), encoding)


def shown_mask(overlay: Overlay, seg: Dataset, index: int) -> np.ndarray:
    """Returns the pixels that any frame on that slice covers (row, column)."""
    pixels = seg.pixel_array
    shown = np.zeros((overlay.rows, overlay.columns), dtype=bool)
    for frame in overlay.frames[index]:
        shown |= pixels[frame.frame - 1] > 0
    return shown


def liver_of(datasets: Sequence[Dataset], source: SourceSlices, index: int) -> np.ndarray:
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in datasets}
    shown = by_uid[source.slices[index].sop_instance_uid]
    inside: np.ndarray = in_liver(voxel_positions(plane(shown)))[0]
    return inside


@pytest.mark.parametrize("encoding", SegEncoding)
@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_each_frame_lies_on_the_slice_that_it_references(
    tmp_path: Path, directions: Directions, encoding: SegEncoding
) -> None:
    datasets = ct_series(directions).datasets
    seg = seg_of(datasets, tmp_path, encoding)
    source = source_slices(datasets)
    overlay = overlay_of(seg, source)
    assert overlay.misplaced == 0
    for index in range(len(source.slices)):
        assert (shown_mask(overlay, seg, index) == liver_of(datasets, source, index)).all()
    assert [(s.number, s.label) for s in overlay.segments] == [(1, "Liver"), (2, "Spleen")]


@pytest.mark.parametrize("encoding", SegEncoding)
def test_the_frames_of_a_stored_seg_are_those_that_highdicom_finds(
    tmp_path: Path, encoding: SegEncoding
) -> None:
    datasets = ct_series().datasets
    written = seg_of(datasets, tmp_path, encoding)
    file = tmp_path / "seg.dcm"
    written.save_as(file, enforce_file_format=True)
    source = source_slices(datasets)
    overlay = overlay_of(dcmread(file, stop_before_pixels=True), source)
    assert overlay == overlay_of(written, source), "decoded sequences are read alike"
    read_back = hd.seg.segread(file)
    stored = np.atleast_3d(read_back.pixel_array)
    for index, shown in enumerate(source.slices):
        expected = read_back.get_pixels_by_source_instance(
            [shown.sop_instance_uid],
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )[0]  # (row, column, segment)
        found = np.zeros_like(expected)
        for frame in overlay.frames[index]:
            numbers = range(1, 3) if frame.segment == 0 else [frame.segment]
            for number in numbers:
                value = number if frame.segment == 0 else 1
                found[..., number - 1] |= stored[frame.frame - 1] == value
        assert (found == expected).all()


def test_the_order_of_instance_numbers_does_not_matter(tmp_path: Path) -> None:
    def reverse(index: int, dataset: Dataset) -> None:
        dataset.InstanceNumber = 1000 - index

    datasets = ct_series().modify(reverse).datasets
    seg = seg_of(datasets, tmp_path)
    source = source_slices(sorted(datasets, key=lambda d: d.InstanceNumber))
    assert [s.position_mm for s in source.slices] == sorted(
        (float(d.ImagePositionPatient[2]) for d in datasets), reverse=True
    )
    overlay = overlay_of(seg, source)
    for index in range(len(source.slices)):
        assert (shown_mask(overlay, seg, index) == liver_of(datasets, source, index)).all()


def test_the_mask_of_a_tilted_series_lies_on_the_tilted_slices(tmp_path: Path) -> None:
    datasets = ct_series(tilt_degrees=15).datasets
    seg = seg_of(datasets, tmp_path)
    source = source_slices(datasets)
    overlay = overlay_of(seg, source)
    assert overlay.misplaced == 0
    shown = [shown_mask(overlay, seg, k) for k in range(len(source.slices))]
    true = [liver_of(datasets, source, k) for k in range(len(source.slices))]
    assert (np.stack(shown) & np.stack(true)).sum() > 0.9 * np.stack(true).sum()


def test_the_frames_of_an_enhanced_ct_are_its_slices(tmp_path: Path) -> None:
    order = [(5 * k) % 24 for k in range(24)]  # the frames are in no order
    enhanced = enhanced_ct(frame_order=order)
    seg = seg_of([enhanced], tmp_path)
    source = source_slices([enhanced])
    overlay = overlay_of(seg, source)
    positions = [s.position_mm for s in source.slices]
    assert positions == sorted(positions, reverse=True)
    for index, shown in enumerate(source.slices):
        own = enhanced.PerFrameFunctionalGroupsSequence[shown.frame - 1]
        single = Dataset()
        single.ImagePositionPatient = own.PlanePositionSequence[0].ImagePositionPatient
        shared = enhanced.SharedFunctionalGroupsSequence[0]
        single.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        single.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
        single.Rows, single.Columns = enhanced.Rows, enhanced.Columns
        true = in_liver(voxel_positions(plane(single)))[0]
        assert (shown_mask(overlay, seg, index) == true).all()


def test_a_frame_at_another_position_than_its_image_is_not_shown(tmp_path: Path) -> None:
    datasets = ct_series().datasets
    seg = seg_of(datasets, tmp_path, SegEncoding.LABELMAP)
    moved = seg.PerFrameFunctionalGroupsSequence[7]
    x, y, z = moved.PlanePositionSequence[0].ImagePositionPatient
    moved.PlanePositionSequence[0].ImagePositionPatient = [x, y, z + 3]
    overlay = overlay_of(seg, source_slices(datasets))
    assert overlay.misplaced == 1
    assert 8 not in {frame.frame for frames in overlay.frames for frame in frames}


def test_what_is_no_segmentation_is_refused(tmp_path: Path) -> None:
    datasets = ct_series().datasets
    with pytest.raises(Rejected, match="cannot be read"):
        overlay_of(datasets[0], source_slices(datasets))


@pytest.mark.parametrize(
    ("directions", "axis", "edges", "descending"),
    [
        (AXIAL, "head", "RLAP", True),
        (FEET_FIRST, "head", "LRPA", True),
        (CORONAL, "back", "RLHF", False),
        (SAGITTAL, "left", "APHF", False),
    ],
)
def test_slices_are_in_the_order_of_the_patient_with_their_edges(
    directions: Directions, axis: str, edges: str, descending: bool
) -> None:
    source = source_slices(ct_series(directions).datasets)
    assert source.axis == axis
    assert {s.edges for s in source.slices} == {edges}
    positions = [s.position_mm for s in source.slices]
    assert positions == sorted(positions, reverse=descending)


def test_phases_follow_each_other() -> None:
    datasets = two_phases().datasets
    source = source_slices(datasets)
    numbers = [s.instance_number or 0 for s in source.slices]
    assert all(number <= PHASE_SLICES for number in numbers[:PHASE_SLICES])
    assert all(number > PHASE_SLICES for number in numbers[PHASE_SLICES:])


def test_images_without_a_position_are_counted() -> None:
    datasets = ct_series(localizer=[0]).datasets
    del datasets[3].ImagePositionPatient
    source = source_slices(datasets)
    assert (len(source.slices), source.left_out) == (22, 2)
    assert source_slices([]).slices == ()


def test_the_window_is_that_of_the_middle_slice() -> None:
    def with_window(index: int, dataset: Dataset) -> None:
        dataset.WindowCenter, dataset.WindowWidth = [50 + index, 1], [350, 2]

    windowed = source_slices(ct_series().modify(with_window).datasets)
    assert windowed.window == Window(61, 350)

    def without_window(_index: int, dataset: Dataset) -> None:
        for keyword in ("WindowCenter", "WindowWidth"):
            if keyword in dataset:
                delattr(dataset, keyword)

    assert source_slices(ct_series().modify(without_window).datasets).window is None
    enhanced = enhanced_ct()
    table = Dataset()
    table.WindowCenter, table.WindowWidth = -600, 1500
    enhanced.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence = [table]
    assert source_slices([enhanced]).window == Window(-600, 1500)


@pytest.mark.parametrize("rgb", [(221, 130, 101), (0, 128, 255), (0, 0, 0), (255, 255, 255)])
def test_a_colour_on_the_screen_is_that_of_the_label(rgb: tuple[int, int, int]) -> None:
    value = hd.color.CIELabColor.from_rgb(*rgb).value
    assert np.abs(np.subtract(rgb_of_lab(value), rgb)).max() <= 1
