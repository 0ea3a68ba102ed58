"""Reading of one CT series from DICOM files into a volume in Hounsfield units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
from pydicom.dataset import Dataset

from node.dicom.ct.acquisitions import stack_acquisition
from node.dicom.ct.frames import slices_of
from node.dicom.ct.headers import drop_pixel_data, load_headers
from node.dicom.ct.non_slices import without_non_slices
from node.dicom.ct.pixels import read_hounsfield
from node.dicom.ct.source_grid import SourceGrid
from node.dicom.ct.suitability import check_objects, check_one_series, check_slices
from node.domain.series import AcquisitionChoice


@dataclass(frozen=True)
class CtSeries:
    """A CT series as a volume on an even grid, and its source slices.

    `volume` is in HU, axes slice, row, column, LPS; its slices ascend along row direction ×
    column direction (for axial slices of a supine patient: from the feet to the head).
    Source slice `k` is `distances_mm[k]` from the first in that direction. If the distances are
    uneven, or a tilted gantry shifted the slices, the volume is resampled. `grid` says where the
    source slices lie in it. What is made for the source slices comes from there: labels from
    `labels_on_source_slices`, values from `grid.on_source_slices`.
    """

    volume: hd.Volume = field(repr=False)
    # Headers without pixel data: one per slice in the volume's order, or the one multi-frame CT.
    sources: tuple[Dataset, ...] = field(repr=False)
    distances_mm: tuple[float, ...]
    frame_numbers: tuple[int, ...]  # of each slice in the multi-frame CT, from 1; else empty
    grid: SourceGrid = field(repr=False)
    excluded: tuple[str, ...] = ()  # the type of each object of the series that is no slice
    chosen: str = ""  # which of several acquisitions this is, as a sentence; empty if only one

    @property
    def is_resampled(self) -> bool:
        """Whether the volume is not simply the stack of the source slices."""
        return self.grid.is_resampled

    @property
    def slice_count(self) -> int:
        """The number of source slices."""
        return len(self.distances_mm)

    @property
    def extent_mm(self) -> float:
        """The distance between the centres of the first and the last slice, along the normal."""
        return self.distances_mm[-1]


def read_series(
    paths: Sequence[Path], choice: AcquisitionChoice = AcquisitionChoice.REFUSE
) -> CtSeries:
    """Reads the files of one CT series: CT, Enhanced CT or Legacy Converted Enhanced CT.

    `choice` is made where the series holds several acquisitions of the same region.

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
    stacked, chosen = stack_acquisition(slices, choice)
    pixels = stacked.grid.on_grid(read_hounsfield(stacked.slices))
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
        grid=stacked.grid,
        excluded=excluded,
        chosen=chosen,
    )
