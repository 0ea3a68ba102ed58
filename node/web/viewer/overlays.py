"""The frames of a segmentation that lie on each source slice.

A frame belongs to the slice whose SOP Instance UID and frame number it references, never to one by
order. A frame whose position differs from that slice is not shown at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from node.dicom.ct.headers import PARSE_ERRORS
from node.domain.errors import Rejected, RejectionReason
from node.web.viewer.colours import rgb_of_lab
from node.web.viewer.source_slices import SliceGeometry, SourceSlices

# Positions and cosines have up to 16 characters; a SEG repeats those of its source.
_MAX_DISTANCE_MM = 0.01
_MAX_COSINE_DIFFERENCE = 1e-4
_LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_SEGMENTATIONS = frozenset({_LABEL_MAP_STORAGE, "1.2.840.10008.5.1.4.1.1.66.4"})
_DEFAULT_COLOUR = (255, 64, 64)
SourceKey = tuple[str, int]  # SOP Instance UID and frame number from 1


@dataclass(frozen=True)
class Segment:
    """A segment; `colour` is red, green and blue, 0 to 255."""

    number: int
    label: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class MaskFrame:
    """A frame, from 1, with the pixels of one segment; `segment` 0: the pixels are numbers."""

    frame: int
    segment: int


@dataclass(frozen=True)
class Overlay:
    """A segmentation; `frames` has the frames on each slice, in the order of the slices.

    `bits` is the size of a pixel. `misplaced` counts the frames whose plane is not that of the
    slice that they reference.
    """

    rows: int
    columns: int
    bits: int
    segments: tuple[Segment, ...]
    frames: tuple[tuple[MaskFrame, ...], ...]
    misplaced: int


def overlay_of(seg: Dataset, source: SourceSlices) -> Overlay:
    """Returns where the frames of a segmentation, given by its header, lie on the source slices.

    Raises:
        Rejected: the object is no segmentation, or cannot be read.
    """
    try:
        return _overlay(seg, source)
    except PARSE_ERRORS as error:
        message = f"the segmentation cannot be read: {type(error).__name__}"
        raise Rejected(RejectionReason.UNREADABLE, message) from error


def _overlay(seg: Dataset, source: SourceSlices) -> Overlay:
    if seg.SOPClassUID not in _SEGMENTATIONS or seg.get("SegmentationType") == "FRACTIONAL":
        raise ValueError("the object is no binary segmentation and no label map")
    places = zip(source.slices, source.geometries, strict=True)
    index_of = {(s.sop_instance_uid, s.frame): (k, g) for k, (s, g) in enumerate(places)}
    frames: list[list[MaskFrame]] = [[] for _ in source.slices]
    misplaced = 0
    for mask_frame, key, geometry in _frames(seg):
        found = index_of.get(key)
        if found is None:
            continue  # an image that the series no longer has
        index, expected = found
        if _is_same_plane(geometry, expected):
            frames[index].append(mask_frame)
        else:
            misplaced += 1
    return Overlay(
        rows=int(seg.Rows),
        columns=int(seg.Columns),
        bits=int(seg.BitsAllocated),
        segments=tuple(_segments(seg)),
        frames=tuple(map(tuple, frames)),
        misplaced=misplaced,
    )


def _segments(seg: Dataset) -> Iterator[Segment]:
    for item in seg.SegmentSequence:
        number = int(item.SegmentNumber)
        if number == 0:
            continue  # the background of a label map
        lab = item.get("RecommendedDisplayCIELabValue")
        colour = _DEFAULT_COLOUR if lab is None else rgb_of_lab([int(part) for part in lab])
        yield Segment(number, str(item.SegmentLabel), colour)


def _frames(seg: Dataset) -> Iterator[tuple[MaskFrame, SourceKey, SliceGeometry]]:
    """Yields each frame with the slice that it references and its own plane (PS3.3 C.8.20)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    is_label_map = seg.SOPClassUID == _LABEL_MAP_STORAGE
    size = int(seg.Rows), int(seg.Columns)
    for number, own in enumerate(seg.PerFrameFunctionalGroupsSequence, start=1):
        groups = _Groups(own, shared)
        derivations = groups.items("DerivationImageSequence")
        sources = [image for one in derivations for image in one.get("SourceImageSequence") or []]
        position = groups.items("PlanePositionSequence")[0].ImagePositionPatient
        orientation = groups.items("PlaneOrientationSequence")[0].ImageOrientationPatient
        geometry = SliceGeometry(_floats(position), _floats(orientation), *size)
        segment = 0
        if not is_label_map:
            identification = groups.items("SegmentIdentificationSequence")[0]
            segment = int(identification.ReferencedSegmentNumber)
        for image in sources:
            key = str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber") or 1)
            yield MaskFrame(number, segment), key, geometry


@dataclass(frozen=True)
class _Groups:
    """The functional groups of a frame: its own before the shared ones."""

    own: Dataset
    shared: Dataset

    def items(self, keyword: str) -> Sequence[Dataset]:
        return self.own.get(keyword) or self.shared.get(keyword) or []


def _floats(values: Sequence[object]) -> tuple[float, ...]:
    return tuple(float(str(value)) for value in values)


def _is_same_plane(one: SliceGeometry, other: SliceGeometry) -> bool:
    distance = np.subtract(one.position, other.position)
    cosines = np.subtract(one.orientation, other.orientation)
    return bool(
        (one.rows, one.columns) == (other.rows, other.columns)
        and np.abs(distance).max() <= _MAX_DISTANCE_MM
        and np.abs(cosines).max() <= _MAX_COSINE_DIFFERENCE
    )
