"""The frames of a segmentation are, byte for byte, those that highdicom makes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.mask import Mask
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results import segmentation
from node.dicom.results.frames.binary_frames import BinaryFrames
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from tests.support.dicom.body import AXIAL, grid, in_liver, oblique, voxel_positions
from tests.support.dicom.builders import LIVER, SPLEEN, ct_series, enhanced_ct
from tests.support.dicom.results import content_of, part10

# The second organ has the lower index: segments are numbered in the order of the labels.
ORGANS = (replace(LIVER, index=7), replace(SPLEEN, index=2))


def single_frames(folder: Path) -> CtSeries:
    return read_series(ct_series().write(folder))


def odd_size(folder: Path) -> CtSeries:
    """Frames of 1,927 pixels, so that most start within a byte."""
    return read_series(
        ct_series(oblique(), geometry=grid(AXIAL, rows=41, columns=47)).write(folder)
    )


def resampled(folder: Path) -> CtSeries:
    geometry = grid(slices=60, spacing_mm=(2.5, 3.0, 3.0))
    return read_series(ct_series(geometry=geometry, jitter_mm=0.1).write(folder))


def multi_frame(folder: Path) -> CtSeries:
    path = folder / "enhanced.dcm"
    order = [*range(12, 24), *range(11, -1, -1)]
    enhanced_ct(frame_order=order).save_as(path, enforce_file_format=True)
    return read_series([path])


def both_organs(series: CtSeries) -> NDArray[np.uint8]:
    """The first organ in some slices, the second in fewer, with an empty slice between."""
    positions = voxel_positions(series.volume)
    values = 7 * in_liver(positions).astype(np.uint8)
    values[in_liver(positions) & (positions[..., 2] > 14)] = 2
    values[len(values) // 2] = 0
    return values


def second_organ(series: CtSeries) -> NDArray[np.uint8]:
    values = both_organs(series)
    values[values == 7] = 0
    return values


def no_organ(series: CtSeries) -> NDArray[np.uint8]:
    return np.zeros_like(both_organs(series))


class AllByHighdicom(BinaryFrames):
    """Makes every frame by highdicom, of the images in their size; pydicom writes them."""

    def tiny_images(self, images: Sequence[Dataset]) -> list[Dataset]:
        return list(images)

    def tiny_pixels(self) -> NDArray[np.uint8]:
        numbers = np.zeros_like(self.labels)
        for number, index in enumerate(self.indices, start=1):
            numbers[self.labels == index] = number
        return numbers

    def complete(self, result: Dataset) -> None:
        bits = int(result.NumberOfFrames) * int(result.Rows) * int(result.Columns)
        result.PixelData = result.PixelData[: (bits + 7) // 8] + b"\0" * ((bits + 7) // 8 % 2)
        values = [
            frame.FrameContentSequence[0].DimensionIndexValues
            for frame in result.PerFrameFunctionalGroupsSequence
        ]
        present = sorted({of_frame[0] for of_frame in values})
        for of_frame in values:
            of_frame[0] = present.index(of_frame[0]) + 1


def with_frames_by_highdicom(patch: pytest.MonkeyPatch, *, is_sparse: bool) -> None:
    original = hd.seg.Segmentation

    def of_all_frames(**arguments: Any) -> hd.seg.Segmentation:
        return original(**arguments | {"omit_empty_frames": is_sparse})

    patch.setattr(hd.seg, "Segmentation", of_all_frames)
    patch.setattr(segmentation, "BinaryFrames", AllByHighdicom)
    patch.setattr(segmentation, "encode_functional_groups", lambda _result: None)


@pytest.mark.parametrize("encoding", SegEncoding)
@pytest.mark.parametrize("mask", [both_organs, second_organ, no_organ])
@pytest.mark.parametrize("source", [single_frames, odd_size, resampled, multi_frame])
def test_frames_are_those_of_highdicom(
    source: Callable[[Path], CtSeries],
    mask: Callable[[CtSeries], NDArray[np.uint8]],
    encoding: SegEncoding,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    series = source(tmp_path)
    content = content_of(series, Mask(series.volume.with_array(mask(series)), ORGANS))
    wanted = ResultObject(ResultKind.SEG, encoding)
    (found,) = segmentation.encode(content, wanted)
    with_frames_by_highdicom(monkeypatch, is_sparse=encoding is SegEncoding.SPARSE)
    (expected,) = segmentation.encode(content, wanted)
    assert part10(found) == part10(expected)
    # pydicom has written the encoded frames as they are.
    assert found.get_item("PerFrameFunctionalGroupsSequence").is_raw


def test_the_headers_of_the_series_are_unchanged(tmp_path: Path) -> None:
    series = single_frames(tmp_path)
    content = content_of(series, Mask(series.volume.with_array(both_organs(series)), ORGANS))
    segmentation.encode(content, ResultObject(ResultKind.SEG))
    assert {(source.Rows, source.Columns) for source in series.sources} == {(40, 48)}


@pytest.mark.parametrize("character_set", ["ISO_IR 192", ["", "ISO 2022 IR 87"]])
def test_frames_are_written_as_they_are_encoded_in_each_character_set(
    character_set: str | list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ct_series()
    for dataset in files.datasets:
        dataset.SpecificCharacterSet = character_set
        dataset.PatientName = "Yamada^Tarou=山田^太郎"
    series = read_series(files.write(tmp_path))
    content = content_of(series, Mask(series.volume.with_array(both_organs(series)), ORGANS))
    (found,) = segmentation.encode(content, ResultObject(ResultKind.SEG))
    with_frames_by_highdicom(monkeypatch, is_sparse=False)
    (expected,) = segmentation.encode(content, ResultObject(ResultKind.SEG))
    assert part10(found) == part10(expected)
    assert found.get_item("PerFrameFunctionalGroupsSequence").is_raw
