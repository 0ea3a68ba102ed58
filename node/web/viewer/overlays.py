"""The frames of a segmentation that lie on each source slice.

A frame belongs to the slice whose SOP Instance UID and frame number it references, never to one by
order. A frame whose position differs from that slice is not shown at all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

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
_Value = TypeVar("_Value")


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
    sources = _Group("DerivationImageSequence", shared, _sources)
    positions = _Group("PlanePositionSequence", shared, _position)
    orientations = _Group("PlaneOrientationSequence", shared, _orientation)
    segments = _Group("SegmentIdentificationSequence", shared, _segment_number)
    for number, own in enumerate(seg.PerFrameFunctionalGroupsSequence, start=1):
        geometry = SliceGeometry(positions.of(own), orientations.of(own), *size)
        frame = MaskFrame(number, 0 if is_label_map else segments.of(own))
        for key in sources.of(own):
            yield frame, key, geometry


class _Group(Generic[_Value]):
    """One functional group of the frames: a frame's own before the shared one.

    `read` reads the value of a group's items. Thousands of frames repeat the groups of some hundred
    slices, so that equal encoded groups of one file are decoded and read once.
    """

    def __init__(
        self, keyword: str, shared: Dataset, read: Callable[[Sequence[Dataset]], _Value]
    ) -> None:
        self._keyword = keyword
        self._tag = Tag(keyword)
        self._shared = shared
        self._read = read
        self._known: dict[bytes, _Value] = {}

    def of(self, frame: Dataset) -> _Value:
        """Returns the value for a frame, given by its functional groups."""
        element: object = frame.get_item(self._tag)
        if element is None:
            return self._value(b"", frame)
        # A sequence of undefined length is decoded already.
        if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
            return self._value(element.value, frame)
        return self._read(self._items(frame))

    def _value(self, encoded: bytes, frame: Dataset) -> _Value:
        if encoded not in self._known:
            self._known[encoded] = self._read(self._items(frame))
        return self._known[encoded]

    def _items(self, frame: Dataset) -> Sequence[Dataset]:
        return frame.get(self._keyword) or self._shared.get(self._keyword) or []


def _sources(items: Sequence[Dataset]) -> tuple[SourceKey, ...]:
    images = [image for one in items for image in one.get("SourceImageSequence") or []]
    return tuple(
        (str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber") or 1))
        for image in images
    )


def _position(items: Sequence[Dataset]) -> tuple[float, ...]:
    return _floats(items[0].ImagePositionPatient)


def _orientation(items: Sequence[Dataset]) -> tuple[float, ...]:
    return _floats(items[0].ImageOrientationPatient)


def _segment_number(items: Sequence[Dataset]) -> int:
    return int(items[0].ReferencedSegmentNumber)


def _floats(values: Sequence[object]) -> tuple[float, ...]:
    return tuple(float(str(value)) for value in values)


def _is_same_plane(one: SliceGeometry, other: SliceGeometry) -> bool:
    return (
        (one.rows, one.columns) == (other.rows, other.columns)
        and _are_near(one.position, other.position, _MAX_DISTANCE_MM)
        and _are_near(one.orientation, other.orientation, _MAX_COSINE_DIFFERENCE)
    )


def _are_near(some: Sequence[float], others: Sequence[float], limit: float) -> bool:
    return all(abs(one - other) <= limit for one, other in zip(some, others, strict=True))
