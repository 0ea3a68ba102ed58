"""Outlines of the pixels of a mask in one slice, along the edges of the pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import cast

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from scipy import ndimage

# Corners of pixels, (N, 2): column, row. (0, 0) is the top left corner of the image's first pixel
# (PS3.3 C.10.5.1.2); (0.5, 0.5) is that pixel's centre.
Outline = NDArray[np.intp]
# Points of all edges of each region, and where each edge starts and ends: `FillType.OuterOffset`.
_Filled = tuple[list[NDArray[np.float64]], list[NDArray[np.uint32]]]

# Between the values of a pixel outside, 0, and one inside, 1.
_LEVEL = 0.5


@dataclass(frozen=True)
class Region:
    """Pixels of a slice that are connected by their edges: `inside` (row, column), cropped.

    The first row and column of `inside` are `first_row` and `first_column` of the slice.
    """

    inside: NDArray[np.bool_] = field(repr=False)
    first_row: int = 0
    first_column: int = 0

    def halves(self) -> Iterator["Region"]:
        """Yields the regions on both sides of a cut across the longer side, in the middle."""
        rows, columns = self.inside.shape
        if rows >= columns:
            cut = rows // 2
            yield from regions_of(self.inside[:cut], self.first_row, self.first_column)
            yield from regions_of(self.inside[cut:], self.first_row + cut, self.first_column)
        else:
            cut = columns // 2
            yield from regions_of(self.inside[:, :cut], self.first_row, self.first_column)
            yield from regions_of(self.inside[:, cut:], self.first_row, self.first_column + cut)


def regions_of(
    inside: NDArray[np.bool_], first_row: int = 0, first_column: int = 0
) -> Iterator[Region]:
    """Yields the regions of `inside` (row, column); pixels that share a corner only are apart."""
    numbers, _ = ndimage.label(inside)
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbers), start=1):
        yield Region(
            numbers[rows, columns] == number,
            first_row + rows.start,
            first_column + columns.start,
        )


def outline(region: Region) -> Outline:
    """Returns the corners of one closed polygon around the region, without repeating the first.

    The polygon runs along pixel edges. Pixel centres inside it are exactly those of the region, by
    the even-odd and by the non-zero rule. A hole is connected to the outer edge by a channel
    without width (PS3.3 C.8.8.6.3).
    """
    polygon: Outline = _corners(_with_channels(_edges(region.inside)))
    polygon += np.array([region.first_column, region.first_row])
    return polygon


def _edges(inside: NDArray[np.bool_]) -> list[Outline]:
    """Returns the outer edge of a region and those of its holes, one pixel edge per step.

    Marching squares connects the midpoints between pixels inside and outside. Each of its segments
    crosses one square of four pixel centres, whose middle is the corner that these pixels share:
    the corners of all segments, in turn, are the edge. Where two pixels share a corner only, the
    segments do not connect them.
    """
    padded = np.pad(inside, 1).astype(np.float64)
    generator = contour_generator(z=padded, name="serial", fill_type=FillType.OuterOffset)
    (points,), (offsets,) = cast(_Filled, generator.filled(_LEVEL, np.inf))
    edges = []
    for start, stop in pairwise(offsets):
        midpoints = points[start:stop]  # (N, 2): column, row of `padded`; the last is the first
        middle_of_segments = (midpoints[:-1] + midpoints[1:]) / 2
        edges.append(np.floor(middle_of_segments).astype(np.intp))
    return edges


def _with_channels(edges: list[Outline]) -> Outline:
    """Joins the edges to one polygon by a channel from each hole to the next edge on its left.

    A channel runs along one row of corners, from the hole's leftmost corner. The polygon walks it
    to the hole, around the hole, and back.
    """
    outer = range(len(edges[0]))
    holes = _holes_by_left_neighbour(edges)
    path: list[int] = []
    walks: list[Iterator[int]] = [iter(outer)]
    while walks:
        for corner in walks[-1]:
            path.append(corner)
            if corner in holes:
                walks.append(chain(holes.pop(corner), (corner,)))
                break
        else:
            walks.pop()
    return np.concatenate(edges)[path]


def _holes_by_left_neighbour(edges: list[Outline]) -> dict[int, Iterator[int]]:
    """Returns the walk around each hole, by the corner at which its channel begins.

    Corners are numbered through all edges, the outer edge first. A walk returns to its start.
    """
    corners = np.concatenate(edges)
    in_rows = np.lexsort((corners[:, 0], corners[:, 1]))
    place_in_rows = np.argsort(in_rows)
    holes: dict[int, Iterator[int]] = {}
    for first, stop in pairwise(accumulate(len(edge) for edge in edges)):
        hole = corners[first:stop]
        # The topmost of the leftmost corners: left of it are pixels of the region.
        start = first + int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
        left = int(in_rows[place_in_rows[start] - 1])
        holes[left] = chain(range(start, stop), range(first, start + 1))
    return holes


def _corners(polygon: Outline) -> Outline:
    """Drops the points at which a polygon does not turn."""
    direction = np.sign(np.roll(polygon, -1, axis=0) - polygon)
    corners: Outline = polygon[(direction != np.roll(direction, 1, axis=0)).any(axis=1)]
    return corners
