"""Resampling a CT to the input of a network: clipped, averaged against aliasing, interpolated."""

import numpy as np
import SimpleITK
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, ScaleIntensityRange, SpatialResample

from models.inference.preprocessing import (
    Prepared,
    block_affine,
    blocks_of,
    network_grid,
    prepare,
)
from node.dicom.ct.reader import read_series
from tests.bench.processing.reading import affine_of, direction_of, image_of
from tests.bench.processing.work import Inputs, Work, nearest


def by_segnode(inputs: Inputs) -> Work[Prepared]:
    """Prepares as a job does."""
    volume = read_series(inputs.images).volume
    return Work(
        lambda: prepare(volume, inputs.spec),
        lambda found: nearest(found.tensor[0, 0].numpy(), found.affine, inputs.positions),
    )


def by_simpleitk(inputs: Inputs) -> Work[SimpleITK.Image]:
    """Clips, shrinks by the blocks of the same size, interpolates."""
    volume, (low, high) = read_series(inputs.images).volume, inputs.spec.hu_window
    blocks = blocks_of(volume.affine, inputs.spec.spacing_mm)
    image = image_of(volume)
    affine, shape = network_grid(volume.get_geometry(), inputs.spec.spacing_mm)

    def run() -> SimpleITK.Image:
        clipped = SimpleITK.Clamp(image, SimpleITK.sitkFloat32, low, high)
        averages = SimpleITK.BinShrink(clipped, blocks[::-1])
        resampled = SimpleITK.Resample(
            averages,
            shape[::-1],
            SimpleITK.Transform(),
            SimpleITK.sitkLinear,
            affine[:3, 3].tolist(),
            inputs.spec.spacing_mm[::-1],
            direction_of(affine),
            low,
        )
        return SimpleITK.ShiftScale(resampled, -low, 1 / (high - low))

    def values_of(found: SimpleITK.Image) -> np.ndarray:
        array = SimpleITK.GetArrayViewFromImage(found).T
        return nearest(array, affine_of(found), inputs.positions)

    return Work(run, values_of)


def by_monai(inputs: Inputs) -> Work[MetaTensor]:
    """Clips, pools the blocks of the same size, interpolates."""
    volume, (low, high) = read_series(inputs.images).volume, inputs.spec.hu_window
    blocks = blocks_of(volume.affine, inputs.spec.spacing_mm)
    affine, shape = network_grid(volume.get_geometry(), inputs.spec.spacing_mm)
    image = torch.from_numpy(np.ascontiguousarray(volume.array))[None]  # (1, slice, row, column)

    def pooled(clipped: torch.Tensor) -> MetaTensor:
        averages = torch.nn.functional.avg_pool3d(clipped, blocks)
        return MetaTensor(averages, affine=block_affine(volume.affine, blocks))

    resample = SpatialResample(padding_mode="zeros", align_corners=False)
    prepared = Compose(
        [
            ScaleIntensityRange(low, high, 0.0, 1.0, clip=True),
            pooled,
            lambda averages: resample(averages, dst_affine=affine, spatial_size=shape),
        ]
    )
    return Work(
        lambda: prepared(image),
        lambda found: nearest(found[0].numpy(), affine, inputs.positions),
    )
