"""The frames of a BINARY segmentation: one for each slice and segment (PS3.3 A.51, C.8.20).

highdicom makes a frame in about a millisecond, which is seconds for nine organs. So it makes the
frames of one segment alone, of tiny images. This module multiplies them by the segments and packs
the pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from node.dicom.results.frames.functional_groups import encoder_for, set_functional_groups
from node.dicom.results.frames.item_encoding import (
    EncodedElements,
    ItemEncoder,
    item_of,
    sequence_of,
    unsigned_longs_of,
    unsigned_short_of,
)

# A tiny image is one row, whose pixels are the bits of its number from 1.
_TINY_COLUMNS = 32
# Eight frames of any size fill whole bytes.
_FRAMES_PACKED = 8
_FRAME_CONTENT = Tag("FrameContentSequence")
_INDEX_VALUES = Tag("DimensionIndexValues")
_IDENTIFICATION = Tag("SegmentIdentificationSequence")
_SEGMENT_NUMBER = Tag("ReferencedSegmentNumber")

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class BinaryFrames:
    """The frames of a mask; `labels` (image, row, column) are label indices on the source images.

    `indices` are the label indices in the order of the segments. With `omit_empty`, frames without
    voxels are left out, unless there are no voxels at all.
    """

    labels: Labels
    indices: tuple[int, ...]
    omit_empty: bool

    def tiny_images(self, images: Sequence[Dataset]) -> list[Dataset]:
        """Returns the source images with the size of the tiny ones."""
        rows, columns = DataElement("Rows", "US", 1), DataElement("Columns", "US", _TINY_COLUMNS)
        return [_changed(image, rows, columns) for image in images]

    def tiny_pixels(self) -> NDArray[np.uint8]:
        """Returns pixels (image, row, column) with segment 1 where the image gets frames."""
        numbers = np.arange(1, len(self.labels) + 1, dtype="<u4")
        numbers[~self._has_frames.any(axis=0)] = 0
        bits = np.unpackbits(numbers.view(np.uint8), bitorder="little")
        return bits.reshape(-1, 1, _TINY_COLUMNS)

    def complete(self, result: Dataset) -> None:
        """Replaces the frames of the tiny images by those of every segment, with their pixels.

        The dimension of the segments numbers those that have frames from 1 without gaps (PS3.3
        C.7.6.17.1).
        """
        encoder = encoder_for(result)
        tiny = [
            (image, _TinyFrame.of(item, encoder))
            for image, item in zip(
                _numbers_of(result), result.PerFrameFunctionalGroupsSequence, strict=True
            )
        ]
        chosen = [
            (number, image, frame)
            for number in range(1, len(self.indices) + 1)
            for image, frame in tiny
            if self._has_frames[number - 1, image]
        ]
        result.Rows, result.Columns = self.labels.shape[1:]
        result.NumberOfFrames = len(chosen)
        # highdicom shares the identification of the only segment; viewers expect it in each frame.
        shared = result.SharedFunctionalGroupsSequence[0]
        if "SegmentIdentificationSequence" in shared:
            del shared.SegmentIdentificationSequence
        present = sorted({number for number, _image, _frame in chosen})
        ordinals = {number: ordinal for ordinal, number in enumerate(present, start=1)}
        result.PixelData = self._packed([(number - 1, image) for number, image, _frame in chosen])
        items = (frame.item_of(number, ordinals[number]) for number, _image, frame in chosen)
        set_functional_groups(result, items, encoder)

    @cached_property
    def _has_frames(self) -> NDArray[np.bool_]:
        """Whether each segment has a frame on each image, (segment, image)."""
        has_voxels = self._has_voxels
        return has_voxels if self.omit_empty and has_voxels.any() else np.ones_like(has_voxels)

    @cached_property
    def _has_voxels(self) -> NDArray[np.bool_]:
        """Whether each segment has voxels on each image, (segment, image)."""
        present = np.zeros((len(self.indices), len(self.labels)), dtype=np.bool_)
        for image, labels in enumerate(self.labels):
            rows = np.flatnonzero(labels.any(axis=1))
            if rows.size:
                labelled = labels[rows[0] : rows[-1] + 1]
                present[:, image] = [(labelled == index).any() for index in self.indices]
        return present

    def _packed(self, frames: Sequence[tuple[int, int]]) -> bytes:
        """Returns the bits of the frames, given by segment and image, both from 0.

        The first pixel is the lowest bit (PS3.5 8.1.1). The length is even.
        """
        _count, rows, columns = self.labels.shape
        bits = len(frames) * rows * columns
        packed = np.zeros((bits + 15) // 16 * 2, dtype=np.uint8)
        group = np.zeros((_FRAMES_PACKED, rows, columns), dtype=np.bool_)
        for start in range(0, len(frames), _FRAMES_PACKED):
            members = frames[start : start + _FRAMES_PACKED]
            if not any(self._has_voxels[member] for member in members):
                continue
            for own, (segment, image) in zip(group, members, strict=False):
                np.equal(self.labels[image], self.indices[segment], out=own)
            used = np.packbits(group[: len(members)].ravel(), bitorder="little")
            first = start * rows * columns // 8
            packed[first : first + len(used)] = used
        return packed.tobytes()


def _numbers_of(result: Dataset) -> Iterator[int]:
    """Yields the number of the tiny image of each frame, from 0."""
    bits = np.frombuffer(result.PixelData, dtype="<u4")
    yield from (int(number) - 1 for number in bits[: int(result.NumberOfFrames)])


@dataclass(frozen=True)
class _TinyFrame:
    """The encoded functional groups of a tiny image, besides the numbers of a segment."""

    groups: EncodedElements  # besides the Frame Content Sequence
    content: EncodedElements  # of its item, besides the dimension index values
    position_indices: tuple[int, ...]  # dimension index values besides that of the segment

    @classmethod
    def of(cls, item: Dataset, encoder: ItemEncoder) -> "_TinyFrame":
        content = item.FrameContentSequence[0]
        indices = tuple(int(value) for value in content.DimensionIndexValues[1:])
        return cls(
            encoder.elements(item, without=_FRAME_CONTENT),
            encoder.elements(content, without=_INDEX_VALUES),
            indices,
        )

    def item_of(self, number: int, ordinal: int) -> bytes:
        """Returns the item of the frame of segment `number`, the `ordinal`th with frames."""
        values = unsigned_longs_of(_INDEX_VALUES, (ordinal, *self.position_indices))
        content = item_of({**self.content, _INDEX_VALUES: values})
        identification = item_of({_SEGMENT_NUMBER: unsigned_short_of(_SEGMENT_NUMBER, number)})
        return item_of(
            {
                **self.groups,
                _FRAME_CONTENT: sequence_of(_FRAME_CONTENT, [content]),
                _IDENTIFICATION: sequence_of(_IDENTIFICATION, [identification]),
            }
        )


def _changed(dataset: Dataset, *elements: DataElement) -> Dataset:
    """Returns the data set with these elements instead of its own; both share all others."""
    changed = Dataset({element.tag: element for element in dataset})
    for element in elements:
        changed[element.tag] = element
    return changed
