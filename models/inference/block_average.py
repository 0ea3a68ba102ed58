"""Averages of blocks of a CT volume, as the input of a network of coarser resolution."""

import numpy as np
from numpy.typing import NDArray

_INT16 = np.iinfo(np.int16)


def block_averages(
    hu: NDArray[np.generic], blocks: tuple[int, int, int], hu_window: tuple[float, float]
) -> NDArray[np.float32]:
    """Returns the average of each block of voxels: 0 at the lower end of the window, 1 at the upper
    one.

    `hu` is (slice, row, column) in HU, `blocks` the voxels of a block along each axis. Values are
    clipped to the window first: metal and padding must not affect the average of their neighbours.
    The edge is replicated to fill the last blocks. Works block by block along the slices, without
    a copy of the volume.
    """
    low, high = hu_window
    shape = tuple(-(-length // block) for length, block in zip(hu.shape, blocks, strict=True))
    averages = np.empty(shape, dtype=np.float32)
    for k in range(shape[0]):
        total = _sum_of_slices(hu[k * blocks[0] : (k + 1) * blocks[0]], blocks[0], low, high)
        fill = [
            (0, length * block - have)
            for length, block, have in zip(shape[1:], blocks[1:], total.shape, strict=True)
        ]
        padded = np.pad(total, fill, mode="edge")
        rows = padded.reshape(shape[1], blocks[1], -1).sum(axis=1)
        averages[k] = rows.reshape(shape[1], shape[2], blocks[2]).sum(axis=2)
    averages /= blocks[0] * blocks[1] * blocks[2]
    averages -= low
    averages /= high - low
    return averages


def _sum_of_slices(
    slices: NDArray[np.generic], count: int, low: float, high: float
) -> NDArray[np.number]:
    """Returns the sum of `count` clipped slices, (row, column); the last one is replicated.

    Whole numbers are added as such, which is exact and takes a fifth of the time.
    """
    if slices.dtype == np.int16 and float(low).is_integer() and float(high).is_integer():
        ends = max(int(low), _INT16.min), min(int(high), _INT16.max)
        clipped: NDArray[np.number] = np.clip(slices, *ends)
        total: NDArray[np.number] = clipped.sum(axis=0, dtype=np.int32)
    else:
        clipped = np.clip(slices.astype(np.float32), low, high)
        total = clipped.sum(axis=0, dtype=np.float32)
    if missing := count - len(clipped):
        total += missing * clipped[-1].astype(total.dtype)
    return total
