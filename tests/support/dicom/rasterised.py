"""Voxels inside the contours of an RT Structure Set, found independently: by Pillow."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from node.dicom.ct.frames import slices_of
from node.dicom.ct.reader import CtSeries

# Pillow fills the pixels that an edge passes through as well. On a finer image these are not the
# ones in the middle of a pixel.
_FINER = 5
_MAX_DISTANCE_MM = 1e-4  # of a point from its slice


def filled(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns the pixels (row, column) whose centres lie in a polygon.

    `corners` (N, 2) are column and row; (0, 0) is the corner of the first pixel.
    """
    rows, columns = shape
    image = Image.new("1", (columns * _FINER, rows * _FINER))
    points = [(float(x), float(y)) for x, y in corners * _FINER - 0.5]
    ImageDraw.Draw(image).polygon(points, fill=1)
    middle = _FINER // 2
    return np.asarray(image)[middle::_FINER, middle::_FINER].copy()


def rasterised(contours: Iterable[Dataset], source: CtSeries) -> NDArray[np.bool_]:
    """Returns the voxels (slice, row, column) inside contours, on the source slices.

    Fails if a contour is not on the plane of the image that it refers to, or overlaps another.
    """
    slices = {
        (slice_.header.SOPInstanceUID, slice_.frame_number): slice_
        for header in source.sources
        for slice_ in slices_of(header)
    }
    order = _order(source)
    first = source.sources[0]
    voxels = np.zeros((len(order), first.Rows, first.Columns), dtype=bool)
    for contour in contours:
        (reference,) = contour.ContourImageSequence
        key = (reference.ReferencedSOPInstanceUID, reference.get("ReferencedFrameNumber"))
        slice_ = slices[key]
        points = np.reshape(np.array(contour.ContourData, dtype=float), (-1, 3))
        assert len(points) == contour.NumberOfContourPoints
        along_row, along_column = np.reshape(slice_.orientation, (2, 3))
        offset = points - np.array(slice_.position)
        assert np.abs(offset @ np.cross(along_row, along_column)).max() < _MAX_DISTANCE_MM
        between_rows, between_columns = slice_.pixel_spacing_mm
        # From the centre of the first pixel to its corner: half a pixel.
        columns = offset @ along_row / between_columns + 0.5
        rows = offset @ along_column / between_rows + 0.5
        inside = filled(np.stack([columns, rows], axis=1), (first.Rows, first.Columns))
        k = order.index(key)
        assert not (voxels[k] & inside).any()
        voxels[k] |= inside
    return voxels


def _order(source: CtSeries) -> list[tuple[str, int | None]]:
    """Returns instance and frame of each slice, in the order of the volume."""
    if source.frame_numbers:
        return [(source.sources[0].SOPInstanceUID, number) for number in source.frame_numbers]
    return [(image.SOPInstanceUID, None) for image in source.sources]
