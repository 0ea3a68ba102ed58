"""Each acquisition, phase or reconstruction of a series is read as a part of its own."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from node.dicom.ct.acquisitions import headers_of_part
from node.dicom.ct.headers import readable_headers
from node.dicom.ct.reader import parts_of_series, read_series
from node.domain.errors import Rejected, RejectionReason
from node.domain.series import AcquisitionChoice, SeriesPart, series_digest
from tests.support.dicom.body import AXIAL, grid
from tests.support.dicom.builders import CtFiles, ct_series
from tests.support.dicom.phases import (
    PHASE_SLICES,
    interleaved_enhanced_ct,
    max_hu,
    own_series,
    two_phases,
)


def saved(dataset: Dataset, folder: Path) -> list[Path]:
    path = folder / "enhanced.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return [path]


def read_part(paths: list[Path], part: SeriesPart) -> Rejected | int:
    """The number of slices of the part, or why it is refused."""
    try:
        return read_series(paths, AcquisitionChoice.EACH, part).slice_count
    except Rejected as error:
        return error


def test_every_part_is_named_and_counted_in_the_order_of_the_images(tmp_path: Path) -> None:
    files = two_phases()
    first, second = parts_of_series(files.write(tmp_path))
    assert (first.title, second.title) == ("acquisition 1", "acquisition 2")
    assert (first.number, second.number, first.count) == (1, 2, 2)
    assert (first.instance_count, first.slice_count) == (PHASE_SLICES, PHASE_SLICES)
    own = [d.SOPInstanceUID for d in own_series(files, 2).datasets]
    assert second.digest == series_digest(own)


def test_the_order_of_the_files_does_not_change_the_parts(tmp_path: Path) -> None:
    paths = two_phases().write(tmp_path)
    assert parts_of_series(paths[::-1]) == parts_of_series(paths)


@pytest.mark.parametrize("number", [1, 2])
def test_a_part_is_the_volume_of_its_images_sent_as_a_series(number: int, tmp_path: Path) -> None:
    files = two_phases()
    paths = files.write(tmp_path / "both")
    part = parts_of_series(paths)[number - 1]
    series = read_series(paths, AcquisitionChoice.EACH, part)
    alone = read_series(own_series(files, number).write(tmp_path / "alone"))
    assert (series.volume.array == alone.volume.array).all()
    np.testing.assert_array_equal(series.volume.affine, alone.volume.affine)
    assert series.volume.array.max() == max_hu(number)
    assert [s.SOPInstanceUID for s in series.sources] == [s.SOPInstanceUID for s in alone.sources]
    assert series.part == part
    assert series.chosen.endswith(f"the result is that of acquisition {number}.")


@pytest.mark.parametrize(
    ("attribute", "titles"),
    [
        ("TemporalPositionIndex", ["temporal position 1", "temporal position 2"]),
        ("FrameAcquisitionNumber", ["acquisition 1", "acquisition 2"]),
        ("StackID", ["stack 1", "stack 2"]),
        ("ConvolutionKernel", ["convolution kernel B30f", "convolution kernel B70f"]),
    ],
)
def test_the_frames_of_an_enhanced_ct_are_divided(
    attribute: str, titles: list[str], tmp_path: Path
) -> None:
    paths = saved(interleaved_enhanced_ct(attribute=attribute), tmp_path)
    parts = parts_of_series(paths)
    assert [part.title for part in parts] == titles
    assert [part.instance_count for part in parts] == [1, 1]
    for part in parts:
        alone = read_series(own_series(two_phases(), part.number).write(tmp_path / part.value))
        series = read_series(paths, AcquisitionChoice.EACH, part)
        assert (series.volume.array == alone.volume.array).all()
        np.testing.assert_allclose(series.volume.affine, alone.volume.affine)
        assert series.frame_numbers == tuple(range(part.number, 2 * PHASE_SLICES + 1, 2))
        assert series.referenced_frames == series.frame_numbers


@pytest.mark.parametrize(
    ("choice", "first_frame"), [(AcquisitionChoice.FIRST, 1), (AcquisitionChoice.LAST, 2)]
)
def test_a_rule_chooses_among_the_phases_of_an_enhanced_ct(
    choice: AcquisitionChoice, first_frame: int, tmp_path: Path
) -> None:
    series = read_series(saved(interleaved_enhanced_ct(), tmp_path), choice)
    assert min(series.frame_numbers) == first_frame
    assert series.volume.array.max() == max_hu(first_frame)
    assert series.part is None


def test_all_frames_of_one_phase_are_referenced_without_numbers(tmp_path: Path) -> None:
    enhanced = interleaved_enhanced_ct()
    paths = saved(enhanced, tmp_path)
    part = parts_of_series(paths)[0]
    assert read_series(paths, part=part).referenced_frames
    alone = own_series(two_phases(), 1).write(tmp_path / "alone")
    assert read_series(alone).referenced_frames == ()


def test_an_incomplete_part_is_refused_for_itself(tmp_path: Path) -> None:
    paths = two_phases(missing=7).write(tmp_path)
    first, second = parts_of_series(paths)
    assert read_part(paths, first) == PHASE_SLICES
    refused = read_part(paths, second)
    assert isinstance(refused, Rejected)
    assert refused.reason is RejectionReason.MISSING_SLICES


def test_reconstructions_with_another_image_size_are_parts(tmp_path: Path) -> None:
    small = ct_series(geometry=grid(AXIAL, rows=32, columns=32), seed="small").datasets
    large = ct_series().datasets
    for number, dataset in enumerate((*large, *small)):
        dataset.InstanceNumber = number + 1
        dataset.ConvolutionKernel = ["B30f", "2"] if dataset.Rows == 40 else "B70f"
        for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, getattr(large[0], keyword))
    paths = CtFiles((*large, *small)).write(tmp_path)
    parts = parts_of_series(paths)
    assert [part.title for part in parts] == [
        "convolution kernel B30f\\2",
        "convolution kernel B70f",
    ]
    shapes = [read_series(paths, part=part).volume.spatial_shape for part in parts]
    assert shapes == [(24, 40, 48), (24, 32, 32)]
    with pytest.raises(Rejected, match="different sizes"):
        read_series(paths, AcquisitionChoice.FIRST)


def test_images_without_the_attribute_are_a_part_too(tmp_path: Path) -> None:
    files = two_phases()
    for dataset in files.datasets:
        if dataset.AcquisitionNumber == 2:
            dataset.TemporalPositionIdentifier = 1
    first, second = parts_of_series(files.write(tmp_path))
    assert first.title == "part 1 of 2 by temporal position"
    assert second.title == "temporal position 1"


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(ct_series(), id="one acquisition"),
        pytest.param(ct_series(missing=[5]), id="one acquisition with a missing slice"),
        pytest.param(ct_series(duplicate=[3]), id="a duplicate that differs in nothing"),
        pytest.param(ct_series(localizer=range(24)), id="localizers"),
        pytest.param(CtFiles(two_phases().datasets[:25]), id="a part of one slice"),
    ],
)
def test_a_series_that_does_not_divide_has_no_parts(files: CtFiles, tmp_path: Path) -> None:
    assert parts_of_series(files.write(tmp_path)) == ()


def test_unreadable_files_have_no_parts(tmp_path: Path) -> None:
    paths = two_phases().write(tmp_path)
    paths[3].write_bytes(b"damaged")
    assert parts_of_series(paths) == ()


def test_a_job_without_part_does_not_choose_where_each_is_processed(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="start the series again") as caught:
        read_series(two_phases().write(tmp_path), AcquisitionChoice.EACH)
    assert caught.value.reason is RejectionReason.SEVERAL_ACQUISITIONS


def test_a_part_that_the_series_no_longer_has_is_refused(tmp_path: Path) -> None:
    files = two_phases()
    part = parts_of_series(files.write(tmp_path / "both"))[1]
    with pytest.raises(Rejected, match="no images of acquisition 2"):
        read_series(own_series(files, 1).write(tmp_path / "one"), part=part)


def test_the_headers_of_a_part_are_those_of_its_images(tmp_path: Path) -> None:
    paths = two_phases().write(tmp_path)
    part = parts_of_series(paths)[1]
    own = headers_of_part(readable_headers(paths), part)
    assert {header.AcquisitionNumber for header in own} == {2}
    assert len(own) == PHASE_SLICES
