"""The grid of a volume and the source slices on it; resampling from the slices to the grid.

The grid is upright: its axes are the slice normal, the column and the row direction. Its slices are
parallel to the source slices, so that only whole rows and columns move where a tilted gantry
shifted the slices against each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.pixels import AIR_HU, HounsfieldArray


@dataclass(frozen=True)
class SourceGrid:
    """Where the source slices lie on the grid of the volume that is made of them.

    Pixel (row, column) of source slice `k` lies at (`slice_indices[k]`, row + `offsets[k][0]`,
    column + `offsets[k][1]`). A slice index of 3.25 is a quarter of the spacing beyond slice 3 of
    the grid. Offsets are whole pixels: each pixel is a voxel, and half a pixel is the largest
    error of its position in the volume.
    """

    shape: tuple[int, int, int]  # of the volume
    image_size: tuple[int, int]  # rows and columns of a source slice
    slice_indices: tuple[float, ...]
    offsets: tuple[tuple[int, int], ...]
    has_source_slices: bool  # whether the slices of the grid are the source slices

    @property
    def is_sheared(self) -> bool:
        """Whether the source slices are shifted against each other, as with a tilted gantry."""
        return len(set(self.offsets)) > 1

    @property
    def is_resampled(self) -> bool:
        """Whether the volume is not simply the stack of the source slices."""
        return self.is_sheared or not self.has_source_slices

    def on_grid(self, pixels: HounsfieldArray) -> HounsfieldArray:
        """Resamples the source slices (N, row, column) to the volume.

        The values are linear between slices; outside the images they are air.
        """
        upright = self._upright(pixels) if self.is_sheared else pixels
        return upright if self.has_source_slices else self._between_slices(upright)

    def on_source_slices(self, volume: HounsfieldArray) -> Iterator[HounsfieldArray]:
        """Yields the values (row, column) of the volume (slice, row, column) on each source slice.

        They are linear between slices of the volume, and those of the source at one of its slices.
        """
        last = len(volume) - 1
        for k, index in enumerate(np.clip(self.slice_indices, 0, last)):
            window = self.window(k)
            if self.has_source_slices:
                yield volume[(k, *window)]
                continue
            below = min(int(index), last - 1)
            yield _mixed(volume[(below, *window)], volume[(below + 1, *window)], index - below)

    def window(self, k: int) -> tuple[slice, slice]:
        """Returns the rows and columns of the volume that source slice `k` shows."""
        (top, left), (rows, columns) = self.offsets[k], self.image_size
        return slice(top, top + rows), slice(left, left + columns)

    def outside_images(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yields the pixels of each slice of the volume that no image shows, (row, column).

        A slice between two images counts as that of the nearest one.
        """
        for j in range(self.shape[0]):
            outside = np.ones(self.shape[1:], dtype=np.bool_)
            outside[self.window(int(np.abs(np.asarray(self.slice_indices) - j).argmin()))] = False
            yield j, outside

    def _upright(self, pixels: HounsfieldArray) -> HounsfieldArray:
        """Moves each slice by its offset, (N, row, column) of the grid."""
        upright = np.full((len(pixels), *self.shape[1:]), AIR_HU, dtype=pixels.dtype)
        for k, image in enumerate(pixels):
            upright[(k, *self.window(k))] = image
        return upright

    def _between_slices(self, pixels: HounsfieldArray) -> HounsfieldArray:
        """Resamples slices (N, row, column) linearly from their true to even positions."""
        count = len(pixels)
        # The position of each even slice as an index of source slices: 3.25 is a quarter beyond 3.
        indices = np.interp(np.arange(self.shape[0]), self.slice_indices, np.arange(count))
        below = np.minimum(indices.astype(np.intp), count - 2)
        even = np.empty((self.shape[0], *pixels.shape[1:]), dtype=pixels.dtype)
        for k, (j, fraction) in enumerate(zip(below, indices - below, strict=True)):
            even[k] = _mixed(pixels[j], pixels[j + 1], float(fraction))
        return even


def _mixed(below: HounsfieldArray, above: HounsfieldArray, fraction: float) -> HounsfieldArray:
    """Returns the values at `fraction` of the distance between two slices, (row, column)."""
    mixed = (1 - fraction) * below.astype(np.float32) + fraction * above
    if below.dtype == np.int16:
        return np.rint(mixed).astype(np.int16)
    return mixed.astype(np.float32)
