"""The frames of a BINARY segmentation are, byte for byte, those that highdicom makes."""

from collections.abc import Callable
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
from node.dicom.results.content import ResultContent
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


def by_highdicom(
    content: ResultContent, result_object: ResultObject, images: list[Dataset], labels: Any
) -> Dataset:
    """Makes every frame by highdicom, of the images in their size."""
    is_sparse = result_object.encoding is SegEncoding.SPARSE
    numbers = segmentation._segment_numbers(labels, content.mask)
    made: hd.seg.Segmentation
    with pytest.MonkeyPatch.context() as patch:
        original = hd.seg.Segmentation

        def of_all_frames(**arguments: Any) -> hd.seg.Segmentation:
            return original(**arguments | {"omit_empty_frames": is_sparse})

        patch.setattr(hd.seg, "Segmentation", of_all_frames)
        made = segmentation._segmentation(content, result_object, images, numbers)
    bits = int(made.NumberOfFrames) * int(made.Rows) * int(made.Columns)
    made.PixelData = made.PixelData[: (bits + 7) // 8] + b"\0" * ((bits + 7) // 8 % 2)
    return made


@pytest.mark.parametrize("encoding", [SegEncoding.ALL_FRAMES, SegEncoding.SPARSE])
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
    monkeypatch.setattr(segmentation, "_binary_segmentation", by_highdicom)
    (expected,) = segmentation.encode(content, wanted)
    assert part10(found) == part10(expected)


def test_the_headers_of_the_series_are_unchanged(tmp_path: Path) -> None:
    series = single_frames(tmp_path)
    content = content_of(series, Mask(series.volume.with_array(both_organs(series)), ORGANS))
    segmentation.encode(content, ResultObject(ResultKind.SEG))
    assert {(source.Rows, source.Columns) for source in series.sources} == {(40, 48)}
