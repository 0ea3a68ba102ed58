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

# A tiny image is one row, whose pixels are the bits of its number from 1.
_TINY_COLUMNS = 32
# Eight frames of any size fill whole bytes.
_FRAMES_PACKED = 8

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

    def complete(self, segmentation: Dataset) -> None:
        """Replaces the frames of the tiny images by those of every segment, with their pixels."""
        tiny = segmentation.PerFrameFunctionalGroupsSequence
        chosen = [
            (number, image, item)
            for number in range(1, len(self.indices) + 1)
            for image, item in zip(_numbers_of(segmentation), tiny, strict=True)
            if self._has_frames[number - 1, image]
        ]
        segmentation.Rows, segmentation.Columns = self.labels.shape[1:]
        segmentation.NumberOfFrames = len(chosen)
        # highdicom shares the identification of the only segment; viewers expect it in each frame.
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        if "SegmentIdentificationSequence" in shared:
            del shared.SegmentIdentificationSequence
        segmentation.PerFrameFunctionalGroupsSequence = [
            _frame(item, number) for number, _image, item in chosen
        ]
        frames = [(self.indices[number - 1], image) for number, image, _item in chosen]
        segmentation.PixelData = self._packed(frames)

    @cached_property
    def _has_frames(self) -> NDArray[np.bool_]:
        """Whether each segment has a frame on each image, (segment, image)."""
        present = np.zeros((len(self.indices), len(self.labels)), dtype=np.bool_)
        for image, labels in enumerate(self.labels):
            if labels.any():
                present[:, image] = [(labels == index).any() for index in self.indices]
        return present if self.omit_empty and present.any() else np.ones_like(present)

    def _packed(self, frames: Sequence[tuple[int, int]]) -> bytes:
        """Returns the bits of the frames, given by label index and image.

        The first pixel is the lowest bit (PS3.5 8.1.1). The length is even.
        """
        _count, rows, columns = self.labels.shape
        bits = len(frames) * rows * columns
        packed = np.zeros((bits + 15) // 16 * 2, dtype=np.uint8)
        group = np.zeros((_FRAMES_PACKED, rows, columns), dtype=np.bool_)
        for start in range(0, len(frames), _FRAMES_PACKED):
            members = frames[start : start + _FRAMES_PACKED]
            for own, (index, image) in zip(group, members, strict=False):
                np.equal(self.labels[image], index, out=own)
            used = np.packbits(group[: len(members)].ravel(), bitorder="little")
            first = start * rows * columns // 8
            packed[first : first + len(used)] = used
        return packed.tobytes()


def _numbers_of(segmentation: Dataset) -> Iterator[int]:
    """Yields the number of the tiny image of each frame, from 0."""
    bits = np.frombuffer(segmentation.PixelData, dtype="<u4")
    yield from (int(number) - 1 for number in bits[: int(segmentation.NumberOfFrames)])


def _frame(tiny: Dataset, number: int) -> Dataset:
    """Returns the functional groups of a frame of segment `number`; it shares those of all."""
    content = tiny.FrameContentSequence[0]
    values = [number, *content.DimensionIndexValues[1:]]
    own_content = _changed(content, DataElement("DimensionIndexValues", "UL", values))
    identification = Dataset()
    identification.ReferencedSegmentNumber = number
    return _changed(
        tiny,
        DataElement("FrameContentSequence", "SQ", [own_content]),
        DataElement("SegmentIdentificationSequence", "SQ", [identification]),
    )


def _changed(dataset: Dataset, *elements: DataElement) -> Dataset:
    """Returns the data set with these elements instead of its own; both share all others."""
    changed = Dataset({element.tag: element for element in dataset})
    for element in elements:
        changed[element.tag] = element
    return changed
