"""Agreement of two SEG of the same images: organs matched, Dice coefficients, volumes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmread

from models.data.ground_truth import read_ground_truth
from node.dicom.ct.headers import PARSE_ERRORS
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.comparison.coded_organ import CodedOrgan
from node.dicom.results.comparison.overlap import Numbers, dice
from node.dicom.results.comparison.stored_segments import (
    NotComparable,
    StoredSegment,
    StoredSegments,
    read_segments,
)
from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.series import AcquisitionChoice, SeriesPart

_MM3_PER_ML = 1000.0
_READ_ERRORS = (*PARSE_ERRORS, RuntimeError)


def compare_results(
    reference: Path,
    result: Path,
    images: Sequence[Path],
    choice: AcquisitionChoice,
    part: SeriesPart | None,
) -> tuple[OrganAgreement, ...]:
    """Compares two SEG of this node on the images that both were made from.

    Raises:
        NotComparable: a SEG cannot be read, or is of other images.
        Rejected: the images are not one readable CT series.
        Transient: the disk cannot be read.
    """
    source = read_series(images, choice, part)
    return _agreements(read_segments(reference, source), read_segments(result, source), source)


def compare_with_person(
    segmentation: Path, result: Path, source: CtSeries
) -> tuple[OrganAgreement, ...]:
    """Compares a person's SEG, the reference, with one of this node; volumes are those of voxels.

    Raises:
        NotComparable: a SEG cannot be read, or lies on other voxels than the images.
    """
    return _agreements(
        read_placed_segments(segmentation, source), read_segments(result, source), source
    )


def read_placed_segments(path: Path, source: CtSeries) -> StoredSegments:
    """Reads a SEG of any origin by its positions, onto the voxels of the images.

    A workstation may write only frames with contents, or reference none of the slices.

    Raises:
        NotComparable: the SEG cannot be read, its segments overlap, it lies on other voxels, or
            the slices of the images do not form a regular grid.
    """
    if source.is_resampled:
        raise NotComparable(
            "the slices of its images are shifted or unevenly spaced, so that they form no grid"
        )
    try:
        truth = read_ground_truth(path, source.volume, path)
    except _READ_ERRORS as error:
        raise NotComparable(f"it cannot be compared: {error}") from error
    return StoredSegments(truth.values.array.astype(np.uint16), described_segments(path))


def described_segments(path: Path) -> tuple[StoredSegment, ...]:
    """Reads what the segments of a SEG show, without its pixels.

    Raises:
        NotComparable: the SEG cannot be read.
    """
    try:
        return tuple(
            StoredSegment(
                int(item.SegmentNumber), str(item.SegmentLabel), CodedOrgan.of_segment(item)
            )
            for item in dcmread(path, stop_before_pixels=True).SegmentSequence
            if int(item.SegmentNumber) > 0  # 0 is the background of a label map
        )
    except _READ_ERRORS as error:
        raise NotComparable(f"it cannot be compared: {error}") from error


def _agreements(
    reference: StoredSegments, result: StoredSegments, source: CtSeries
) -> tuple[OrganAgreement, ...]:
    voxel_ml = _voxel_ml(source)
    return tuple(
        OrganAgreement(
            organ=theirs.name,
            dice=dice(reference.numbers, ours.number, result.numbers, theirs.number),
            reference_ml=_count(reference.numbers, ours.number) * voxel_ml,
            volume_ml=_count(result.numbers, theirs.number) * voxel_ml,
        )
        for ours, theirs in matching_segments(reference.segments, result.segments)
    )


def matching_segments(
    reference: Sequence[StoredSegment], result: Sequence[StoredSegment]
) -> Iterator[tuple[StoredSegment, StoredSegment]]:
    """Yields the segments that show the same organ: by their codes, else by their labels.

    An organ that several segments show is left out.
    """
    for theirs in result:
        found = [ours for ours in reference if ours.organ == theirs.organ]
        if not found:
            name = theirs.name.strip().casefold()
            found = [ours for ours in reference if ours.name.strip().casefold() == name]
        if len(found) == 1 and [each.organ for each in result].count(theirs.organ) == 1:
            yield found[0], theirs


def _count(numbers: Numbers, number: int) -> int:
    return sum(int(np.count_nonzero(one == number)) for one in numbers)


def _voxel_ml(source: CtSeries) -> float:
    """Returns the volume of a pixel of a source slice: its area times the mean slice distance."""
    _slice_mm, row_mm, column_mm = source.volume.spacing
    between_mm = source.extent_mm / (source.slice_count - 1)
    return float(row_mm * column_mm * between_mm) / _MM3_PER_ML
