"""DICOM files of one CT series to a volume in Hounsfield units, or a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.dicom.ct.frames import slices_of
from node.dicom.ct.geometry import Stack, stack
from node.dicom.ct.headers import load_headers, without_pixels
from node.dicom.ct.pixels import Hounsfield, hounsfield
from node.dicom.ct.suitability import check_objects, check_slices


@dataclass(frozen=True)
class CtSeries:
    """A CT series as a volume on an even grid, and the slices it was made of.

    `volume` is in HU, axes slice, row, column, LPS; its slices ascend along row direction ×
    column direction (for axial slices of a supine patient: from the feet to the head).
    Source slice `k` lies `distances_mm[k]` from the first along that way; where those are not
    even, the volume is resampled and `places` leads back to the source slices.
    """

    volume: hd.Volume = field(repr=False)
    # Headers without pixel data: one per slice in the volume's order, or the one multi-frame CT.
    sources: tuple[Dataset, ...] = field(repr=False)
    distances_mm: tuple[float, ...]
    frame_numbers: tuple[int, ...]  # of each slice in the multi-frame CT, from 1; else empty
    is_resampled: bool  # whether the volume's slices differ from the source slices

    @property
    def slice_count(self) -> int:
        """How many slices the series has."""
        return len(self.distances_mm)

    @property
    def extent_mm(self) -> float:
        """From the first slice's centre to the last one's, along the normal."""
        return self.distances_mm[-1]

    def places(self) -> NDArray[np.float64]:
        """Where each source slice lies, counted in the volume's slices, (N,): 3.25 is a quarter
        beyond slice 3.
        """
        spacing = self.extent_mm / (self.slice_count - 1)
        return np.asarray(self.distances_mm) / spacing


def read_series(paths: Sequence[Path]) -> CtSeries:
    """Read the files of one CT series: CT, Enhanced CT or Legacy Converted Enhanced CT.

    Raises:
        Rejected: the files are not one readable CT series with a sound geometry; says why.
    """
    headers = load_headers(paths)
    check_objects(headers)
    slices = [slice_ for header in headers for slice_ in slices_of(header)]
    check_slices(slices)
    stacked = stack(slices)
    pixels = hounsfield(stacked.slices)
    if not stacked.is_even:
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
        sources=tuple(without_pixels(source) for source in sources),
        distances_mm=stacked.distances_mm,
        frame_numbers=tuple(s.frame_number for s in stacked.slices if s.frame_number is not None),
        is_resampled=not stacked.is_even,
    )


def _on_even_grid(pixels: Hounsfield, stacked: Stack) -> Hounsfield:
    """Slices (N, row, column) at their true places, linearly resampled to N even places."""
    distances = np.asarray(stacked.distances_mm)
    count = len(distances)
    # The place of each even slice, counted in source slices: 3.25 is a quarter beyond slice 3.
    places = np.interp(np.arange(count) * stacked.spacing_mm, distances, np.arange(count))
    below = np.minimum(places.astype(np.intp), count - 2)
    even = np.empty_like(pixels)
    for k, (j, share) in enumerate(zip(below, places - below, strict=True)):
        mixed = (1 - share) * pixels[j].astype(np.float32) + share * pixels[j + 1]
        even[k] = np.rint(mixed) if even.dtype == np.int16 else mixed
    return even
