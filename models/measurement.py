"""Measures organs: volume in mL and mean attenuation in HU."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from models.mask import Mask

_MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Measurement:
    """The measurements of one organ. `mean_hu` is None if the organ was not found.

    `cut_by_series` means that the organ reaches the first or last slice. It may continue outside
    the series, so `volume_ml` is a lower bound.
    """

    volume_ml: float
    mean_hu: float | None
    cut_by_series: bool


def measure(volume: hd.Volume, mask: Mask) -> dict[str, Measurement]:
    """Measures each label of `mask` in `volume` (HU), by label name; both lie on the same grid.

    Raises:
        ValueError: the grids differ.
    """
    if not volume.geometry_equal(mask.volume):
        raise ValueError("the volume and the mask are not on the same grid")
    measurements: dict[str, Measurement] = {}
    for label in mask.labels:
        inside = mask.of(label)
        count = int(np.count_nonzero(inside))
        measurements[label.name] = Measurement(
            volume_ml=count * float(mask.volume.voxel_volume) / _MM3_PER_ML,
            mean_hu=float(volume.array[inside].mean(dtype=np.float64)) if count else None,
            cut_by_series=bool(inside[0].any() or inside[-1].any()),
        )
    return measurements
