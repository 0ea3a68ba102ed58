"""A mask: labelled voxels together with their geometry."""

from dataclasses import dataclass, field

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.manifest import Label


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
