"""A mask: labelled voxels together with their geometry."""

from dataclasses import dataclass, field
from functools import cached_property

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.manifest import Label

Box = tuple[slice, slice, slice]  # slices, rows, columns


@dataclass(frozen=True)
class Mask:
    """Labels on a grid: `volume` is uint8, axes slice, row, column, LPS; 0 is background.

    Raises:
        ValueError: the voxels are not uint8, or a value is not the index of a label.
    """

    volume: hd.Volume = field(repr=False)
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if self.volume.array.dtype != np.uint8 or self.volume.array.ndim != 3:
            raise ValueError("a mask must be a three-dimensional volume of uint8")
        highest = int(self.volume.array.max(initial=0))
        if highest > max(label.index for label in self.labels):
            raise ValueError(f"the mask holds {highest}, which is not the index of a label")

    def of(self, label: Label) -> NDArray[np.bool_]:
        """Returns the voxels of the label, axes slice, row, column."""
        inside: NDArray[np.bool_] = self.volume.array == label.index
        return inside

    def box_of(self, label: Label) -> Box | None:
        """Returns the smallest box that holds the voxels of the label; None if there are none."""
        return self._boxes[label.index - 1]

    @cached_property
    def _boxes(self) -> tuple[Box | None, ...]:
        """The box of each index, from 1."""
        array = self.volume.array
        highest = max(label.index for label in self.labels)
        # The box of all labels first: `find_objects` takes eight times as long to skip background.
        in_plane = array.max(axis=0, initial=0)  # (row, column)
        used = (array.any(axis=(1, 2)), in_plane.any(axis=1), in_plane.any(axis=0))
        indices = [np.flatnonzero(axis) for axis in used]
        if any(len(found) == 0 for found in indices):
            return (None,) * highest
        first = [int(found[0]) for found in indices]
        last = [int(found[-1]) + 1 for found in indices]
        cut = array[tuple(slice(*ends) for ends in zip(first, last, strict=True))]
        return tuple(
            None if box is None else _moved(box, first)
            for box in ndimage.find_objects(cut, highest)
        )


def _moved(box: tuple[slice, ...], by: list[int]) -> Box:
    slices, rows, columns = (
        slice(axis.start + offset, axis.stop + offset) for axis, offset in zip(box, by, strict=True)
    )
    return slices, rows, columns
