"""Measurement of a mask within the images of its series, which may not fill the volume."""

from dataclasses import replace

import highdicom as hd
import numpy as np

from models.mask import Mask
from models.measurement import Measurement, measure
from node.dicom.ct.reader import CtSeries
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices


def measure_in_images(source: CtSeries, mask: Mask) -> tuple[Mask, dict[str, Measurement]]:
    """Returns the mask without voxels that no image shows, and its measurements by label name.

    `mask` is on the grid of `source.volume`.
    """
    if not source.grid.is_sheared:
        return mask, measure(source.volume, mask)
    labels = mask.volume.array.copy()
    for j, outside in source.grid.outside_images():
        labels[j][outside] = 0
    shown = Mask(mask.volume.with_array(labels), mask.labels)
    edges = _measure_on_slices(source, shown)
    return shown, {
        name: replace(measured, touches_field_of_view=edges[name].touches_field_of_view)
        for name, measured in measure(source.volume, shown).items()
    }


def _measure_on_slices(source: CtSeries, mask: Mask) -> dict[str, Measurement]:
    """Measures the mask on the source slices as if they lay above each other.

    The edge of their field of view is then at the same pixels of all slices.
    """
    values = np.stack(list(source.grid.on_source_slices(source.volume.array)))
    volume = hd.Volume(values, source.volume.affine, coordinate_system="PATIENT")
    labels = labels_on_source_slices(mask, source)
    return measure(volume, Mask(volume.with_array(labels), mask.labels))
