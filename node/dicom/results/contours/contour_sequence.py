"""Contours of organs on the source slices as a Contour Sequence (PS3.3 C.8.8.6)."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from highdicom.spatial import ImageToReferenceTransformer
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import format_number_as_ds

from models.manifest import Label
from models.mask import Mask
from node.dicom.ct.frames import Slice, slices_of
from node.dicom.ct.reader import CtSeries
from node.dicom.results.contours.outlines import Region, outline, regions_of
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices

# Coordinates are rounded to 0.0001 mm: far below what a scanner resolves, and short as text.
_DECIMALS = 4
# The longest value in Explicit VR (PS3.5 7.1.2), whose length field has 16 bits.
_MAX_VALUE_BYTES = 65534


def contour_sequences(
    mask: Mask, source: CtSeries, organs: Iterable[Label]
) -> Iterator[tuple[Label, list[Dataset]]]:
    """Yields each of the organs that has voxels on the source slices, with its Contour Sequence.

    Contours lie on the source slices, in the order of the volume, also where the volume is
    resampled.
    """
    labels = labels_on_source_slices(mask, source)
    slices = _source_slices(source)
    for label in organs:
        contours = [
            contour
            for plane, inside in zip(slices, labels == label.index, strict=True)
            if inside.any()
            for contour in _contours(inside, plane)
        ]
        for number, contour in enumerate(contours, start=1):
            contour.ContourNumber = number
        if contours:
            yield label, contours


def contour_image(image: Dataset, frame_numbers: Sequence[int] = ()) -> Dataset:
    """Returns an item of Contour Image Sequence: an image, or some frames of it."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    if frame_numbers:
        item.ReferencedFrameNumber = list(frame_numbers)
    return item


def _source_slices(source: CtSeries) -> Sequence[Slice]:
    """Returns the source slices in the order of the volume."""
    slices = [slice_ for header in source.sources for slice_ in slices_of(header)]
    if source.frame_numbers:
        return [slices[number - 1] for number in source.frame_numbers]
    return slices


def _contours(inside: NDArray[np.bool_], plane: Slice) -> Iterator[Dataset]:
    """Yields the contours of `inside` (row, column) on its slice."""
    to_patient = ImageToReferenceTransformer(
        plane.position, plane.orientation, plane.pixel_spacing_mm
    )
    frame_numbers = () if plane.frame_number is None else (plane.frame_number,)
    for points, data in _contour_data(regions_of(inside), to_patient):
        contour = Dataset()
        contour.ContourImageSequence = [contour_image(plane.header, frame_numbers)]
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = points
        contour[Tag("ContourData")] = _raw_decimal_strings("ContourData", data)
        yield contour


def _contour_data(
    regions: Iterable[Region], to_patient: ImageToReferenceTransformer
) -> Iterator[tuple[int, bytes]]:
    """Yields number of points and encoded Contour Data for each region.

    A region whose contour is too long for one value becomes several that touch.
    """
    for region in regions:
        points = to_patient(outline(region))  # (N, 3), LPS, mm
        data = _decimal_strings(points)
        if len(data) <= _MAX_VALUE_BYTES:
            yield len(points), data
        else:
            yield from _contour_data(region.halves(), to_patient)


def _decimal_strings(points: NDArray[np.float64]) -> bytes:
    """Returns the coordinates of points (N, 3) as Decimal Strings (PS3.5 6.2)."""
    x, y, z = (_axis_texts(points[:, axis]) for axis in range(3))
    return "\\".join(chain.from_iterable(zip(x, y, z, strict=True))).encode("ascii")


def _axis_texts(values: NDArray[np.float64]) -> list[str]:
    """Returns a coordinate of all points of a contour as text.

    A coordinate that is the same for all is that of the slice; it is written in full.
    """
    # Adding zero makes a negative zero positive.
    if np.ptp(values) == 0:
        return [format_number_as_ds(float(values[0]) + 0.0)] * len(values)
    return [repr(value) for value in (np.round(values, _DECIMALS) + 0.0).tolist()]


def _raw_decimal_strings(keyword: str, value: bytes) -> RawDataElement:
    """Returns an element with encoded Decimal Strings.

    pydicom would make an object of each number, which takes 100 times the memory.
    """
    padded = value + b" " * (len(value) % 2)
    return RawDataElement(Tag(keyword), "DS", len(padded), padded, 0, False, True)
