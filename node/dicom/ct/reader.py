"""Reading of one CT series from DICOM files into a volume in Hounsfield units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
from pydicom.dataset import Dataset

from node.dicom.ct.acquisitions import (
    DIVISIBLE,
    divide_for_each,
    stack_acquisition,
    stack_part,
)
from node.dicom.ct.frames import Slice, slices_of
from node.dicom.ct.geometry import Stack, stack_slices
from node.dicom.ct.headers import drop_pixel_data, load_headers
from node.dicom.ct.non_slices import without_non_slices
from node.dicom.ct.pixels import read_hounsfield
from node.dicom.ct.source_grid import SourceGrid
from node.dicom.ct.suitability import check_objects, check_one_series, check_slices
from node.domain.errors import Rejected
from node.domain.series import AcquisitionChoice, SeriesPart


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
    part: SeriesPart | None = None  # the part of the series that this is, if it has its own result

    @property
    def is_resampled(self) -> bool:
        """Whether the volume is not simply the stack of the source slices."""
        return self.grid.is_resampled

    @property
    def slice_count(self) -> int:
        """The number of source slices."""
        return len(self.distances_mm)

    @property
    def referenced_frames(self) -> tuple[int, ...]:
        """The frames, ascending, if the slices are only some of the multi-frame CT; else empty.

        A reference without frame numbers is one to all frames.
        """
        if len(self.frame_numbers) == int(self.sources[0].get("NumberOfFrames") or 1):
            return ()
        return tuple(sorted(self.frame_numbers))

    @property
    def extent_mm(self) -> float:
        """The distance between the centres of the first and the last slice, along the normal."""
        return self.distances_mm[-1]


def read_series(
    paths: Sequence[Path],
    choice: AcquisitionChoice = AcquisitionChoice.REFUSE,
    part: SeriesPart | None = None,
) -> CtSeries:
    """Reads the files of one CT series: CT, Enhanced CT or Legacy Converted Enhanced CT.

    `choice` is made where the series holds several acquisitions of the same region. With `part`,
    only that part of the series is read; see `parts_of_series`.

    Raises:
        Rejected: the files are not one readable CT series with a valid geometry.
        Transient: the disk cannot be read.
    """
    slices, excluded = _read_slices(paths)
    stacked, chosen = _stack(slices, choice) if part is None else stack_part(slices, part)
    pixels = stacked.grid.on_grid(read_hounsfield(stacked.slices))
    first = stacked.slices[0]
    sources = [s.header for s in stacked.slices] if first.frame_number is None else [first.header]
    return CtSeries(
        volume=hd.Volume(
            pixels,
            stacked.affine,
            coordinate_system="PATIENT",
            frame_of_reference_uid=str(first.header.FrameOfReferenceUID),
        ),
        sources=tuple(drop_pixel_data(source) for source in sources),
        distances_mm=stacked.distances_mm,
        frame_numbers=tuple(s.frame_number for s in stacked.slices if s.frame_number is not None),
        grid=stacked.grid,
        excluded=excluded,
        chosen=chosen,
        part=part,
    )


def parts_of_series(paths: Sequence[Path]) -> tuple[SeriesPart, ...]:
    """Returns the acquisitions, phases or reconstructions of a CT series, from its headers.

    There are none if the series is one acquisition, is unsuitable as a whole, or does not divide.
    A part may still be refused when it is read.

    Raises:
        Transient: the disk cannot be read.
    """
    try:
        slices, _excluded = _read_slices(paths)
    except Rejected:
        return ()
    try:
        check_slices(slices)
        stack_slices(slices)
    except Rejected as error:
        division = divide_for_each(slices) if error.reason in DIVISIBLE else None
        return () if division is None else division.parts
    return ()


def _read_slices(paths: Sequence[Path]) -> tuple[list[Slice], tuple[str, ...]]:
    """Returns the slices of the series, and the types of the objects that are none."""
    headers = load_headers(paths)
    check_one_series(headers)
    headers, excluded = without_non_slices(headers)
    check_objects(headers)
    return [slice_ for header in headers for slice_ in slices_of(header)], excluded


def _stack(slices: Sequence[Slice], choice: AcquisitionChoice) -> tuple[Stack, str]:
    check_slices(slices)
    return stack_acquisition(slices, choice)
