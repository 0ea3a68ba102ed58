"""Reading of one CT series from DICOM files into a volume in Hounsfield units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.dicom.ct.frames import slices_of
from node.dicom.ct.geometry import Stack, stack_slices
from node.dicom.ct.headers import drop_pixel_data, load_headers
from node.dicom.ct.non_slices import without_non_slices
from node.dicom.ct.pixels import HounsfieldArray, read_hounsfield
from node.dicom.ct.suitability import check_objects, check_one_series, check_slices


@dataclass(frozen=True)
class CtSeries:
    """A CT series as a volume on an even grid, and its source slices.

    `volume` is in HU, axes slice, row, column, LPS; its slices ascend along row direction ×
    column direction (for axial slices of a supine patient: from the feet to the head).
    Source slice `k` is `distances_mm[k]` from the first in that direction. If the distances are
    uneven, the volume is resampled, and `fractional_slice_indices` maps source slices to it.
    """

    volume: hd.Volume = field(repr=False)
    # Headers without pixel data: one per slice in the volume's order, or the one multi-frame CT.
    sources: tuple[Dataset, ...] = field(repr=False)
    distances_mm: tuple[float, ...]
    frame_numbers: tuple[int, ...]  # of each slice in the multi-frame CT, from 1; else empty
    is_resampled: bool  # whether the volume's slices differ from the source slices
    excluded: tuple[str, ...] = ()  # the type of each object of the series that is no slice

    @property
    def slice_count(self) -> int:
        """The number of source slices."""
        return len(self.distances_mm)

    @property
    def extent_mm(self) -> float:
        """The distance between the centres of the first and the last slice, along the normal."""
        return self.distances_mm[-1]

    def fractional_slice_indices(self) -> NDArray[np.float64]:
        """Returns the position of each source slice as an index in the volume, (N,).

        3.25 is a quarter of the spacing beyond slice 3.
        """
        spacing = self.extent_mm / (self.slice_count - 1)
        return np.asarray(self.distances_mm) / spacing


def read_series(paths: Sequence[Path]) -> CtSeries:
    """Reads the files of one CT series: CT, Enhanced CT or Legacy Converted Enhanced CT.

    Raises:
        Rejected: the files are not one readable CT series with a valid geometry.
        Transient: the disk cannot be read.
    """
    headers = load_headers(paths)
    check_one_series(headers)
    headers, excluded = without_non_slices(headers)
    check_objects(headers)
    slices = [slice_ for header in headers for slice_ in slices_of(header)]
    check_slices(slices)
    stacked = stack_slices(slices)
    pixels = read_hounsfield(stacked.slices)
    if not stacked.is_evenly_spaced:
        pixels = _on_even_grid(pixels, stacked)
    multi_frame = stacked.slices[0].frame_number is not None
    sources = [headers[0]] if multi_frame else [s.header for s in stacked.slices]
    return CtSeries(
        volume=hd.Volume(
            pixels,
            stacked.affine,
            coordinate_system="PATIENT",
            frame_of_reference_uid=str(headers[0].FrameOfReferenceUID),
        ),
        sources=tuple(drop_pixel_data(source) for source in sources),
        distances_mm=stacked.distances_mm,
        frame_numbers=tuple(s.frame_number for s in stacked.slices if s.frame_number is not None),
        is_resampled=not stacked.is_evenly_spaced,
        excluded=excluded,
    )


def _on_even_grid(pixels: HounsfieldArray, stacked: Stack) -> HounsfieldArray:
    """Resamples slices (N, row, column) linearly from their true to N even positions."""
    distances = np.asarray(stacked.distances_mm)
    count = len(distances)
    # The position of each even slice as an index of source slices: 3.25 is a quarter beyond 3.
    indices = np.interp(np.arange(count) * stacked.spacing_mm, distances, np.arange(count))
    below = np.minimum(indices.astype(np.intp), count - 2)
    even = np.empty_like(pixels)
    for k, (j, fraction) in enumerate(zip(below, indices - below, strict=True)):
        mixed = (1 - fraction) * pixels[j].astype(np.float32) + fraction * pixels[j + 1]
        even[k] = np.rint(mixed) if even.dtype == np.int16 else mixed
    return even
