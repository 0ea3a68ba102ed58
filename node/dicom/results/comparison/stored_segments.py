"""Reading of a stored SEG onto the slices of the series that it was made from."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.headers import PARSE_ERRORS
from node.dicom.ct.reader import CtSeries
from node.dicom.results.comparison.coded_organ import CodedOrgan

# pydicom and highdicom raise these for files that are damaged or are no such SEG.
_READ_ERRORS = (*PARSE_ERRORS, RuntimeError)


class NotComparable(Exception):
    """A stored SEG cannot be compared; the message says why."""


@dataclass(frozen=True)
class StoredSegment:
    """A segment of a SEG: its number, its name and what it shows."""

    number: int
    name: str
    organ: CodedOrgan


@dataclass(frozen=True)
class StoredSegments:
    """The segments of a SEG on the source slices of a series.

    `numbers` are segment numbers (slice, row, column), 0 for none; the slices are in the order of
    the series' volume.
    """

    numbers: NDArray[np.unsignedinteger] = field(repr=False)
    segments: tuple[StoredSegment, ...]

    def of(self, organ: CodedOrgan) -> StoredSegment | None:
        """Returns the segment of an organ; None if none shows it, or several do."""
        found = [segment for segment in self.segments if segment.organ == organ]
        return found[0] if len(found) == 1 else None


def read_segments(path: Path, source: CtSeries) -> StoredSegments:
    """Reads a SEG: BINARY with or without empty frames, or a label map.

    The frames of a SEG of this node lie on the source slices, also where a tilted gantry or uneven
    distances make the volume another grid. No resampling is needed.

    Raises:
        NotComparable: the file cannot be read, or its SEG is not of exactly these slices.
    """
    try:
        segmentation = hd.seg.segread(path)
        _check_images(segmentation, source)
        return StoredSegments(_numbers(segmentation, source), _segments(segmentation))
    except _READ_ERRORS as error:
        raise NotComparable(f"its SEG cannot be read: {error}") from error


def _check_images(segmentation: hd.seg.Segmentation, source: CtSeries) -> None:
    """Checks that the SEG is of these images, and not of another acquisition of the series."""
    theirs = {str(uid) for _, _, uid in segmentation.get_source_image_uids()}
    if theirs != {str(image.SOPInstanceUID) for image in source.sources}:
        raise NotComparable("its SEG is of other images of the series")
    if source.frame_numbers and not _frames_of(segmentation) <= set(source.frame_numbers):
        raise NotComparable("its SEG is of other frames of the series")
    if (segmentation.Rows, segmentation.Columns) != source.grid.image_size:
        raise NotComparable("the frames of its SEG have another size than the images")


def _frames_of(segmentation: hd.seg.Segmentation) -> set[int]:
    """Returns the numbers of the source frames that frames of the SEG refer to."""
    return {
        int(image.ReferencedFrameNumber)
        for groups in segmentation.PerFrameFunctionalGroupsSequence
        for derivation in groups.DerivationImageSequence
        for image in derivation.SourceImageSequence
    }


def _numbers(segmentation: hd.seg.Segmentation, source: CtSeries) -> NDArray[np.unsignedinteger]:
    """Returns the segment numbers on the source slices, (slice, row, column)."""
    uids = [str(image.SOPInstanceUID) for image in source.sources]
    read = (
        partial(
            segmentation.get_pixels_by_source_frame,
            source_sop_instance_uid=uids[0],
            source_frame_numbers=source.frame_numbers,
        )
        if source.frame_numbers
        else partial(segmentation.get_pixels_by_source_instance, source_sop_instance_uids=uids)
    )
    numbers: NDArray[np.unsignedinteger] = read(
        combine_segments=True,
        ignore_spatial_locations=True,  # highdicom compares positions without tolerance
        assert_missing_frames_are_empty=True,  # as in a sparse SEG
        skip_overlap_checks=True,
    )
    return numbers


def _segments(segmentation: hd.seg.Segmentation) -> tuple[StoredSegment, ...]:
    return tuple(
        StoredSegment(int(item.SegmentNumber), str(item.SegmentLabel), CodedOrgan.of_segment(item))
        for item in segmentation.SegmentSequence
        if int(item.SegmentNumber) > 0  # 0 is the background of a label map
    )
