"""Blocks of voxels are averaged as torch does it, without a copy of the volume."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.inference.block_average import block_averages

SHAPE = (7, 13, 16)
BLOCKS = [(1, 1, 1), (2, 3, 4), (4, 5, 5), (7, 1, 2), (3, 20, 1)]


def reference(
    hu: NDArray[np.generic], blocks: tuple[int, int, int], window: tuple[float, float]
) -> NDArray[np.float32]:
    low, high = window
    level = torch.from_numpy(hu.astype(np.float64))[None, None].clamp(low, high)
    fill = [-length % block for length, block in zip(hu.shape, blocks, strict=True)]
    padded = functional.pad(level, (0, fill[2], 0, fill[1], 0, fill[0]), mode="replicate")
    averages: NDArray[np.float32] = functional.avg_pool3d(padded, blocks)[0, 0].numpy()
    return (averages - low) / (high - low)


@pytest.mark.parametrize("window", [(-160.0, 240.0), (-160.5, 239.25), (-1e6, 1e6)])
@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_each_block_has_the_average_of_its_clipped_voxels(
    dtype: type[np.generic], blocks: tuple[int, int, int], window: tuple[float, float]
) -> None:
    hu: NDArray[np.generic] = np.random.default_rng(1).integers(-1024, 3000, SHAPE).astype(dtype)
    found = block_averages(hu, blocks, window)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(hu, blocks, window), atol=2e-6)


def test_a_flipped_volume_is_averaged_from_its_first_slice() -> None:
    hu = np.random.default_rng(2).integers(-1024, 3000, SHAPE).astype(np.int16)
    flipped = hu[::-1, :, ::-1]
    window = (-160.0, 240.0)
    expected = block_averages(np.ascontiguousarray(flipped), (2, 3, 4), window)
    assert (block_averages(flipped, (2, 3, 4), window) == expected).all()
