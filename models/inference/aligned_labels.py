"""Labels on the grid of a CT whose axes are those of the network, as in nearly every series.

Linear interpolation then works axis by axis, and each label only where it can win: many times as
fast as interpolation at any points.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Positions may be off by this fraction of a network voxel over the whole CT: far less than the
# interpolation between two voxels can tell.
_TOLERANCE_VOXELS = 1e-3

Floats = NDArray[np.float32]
Positions = NDArray[np.floating]


@dataclass(frozen=True)
class AxisMap:
    """The network's axis of a source axis; a network index is scale × source index + shift."""

    network_axis: int
    scale: float
    shift: float

    def positions(self, length: int, network_length: int) -> Positions:
        """Returns the network index of each source index, within the network's grid."""
        positions: Positions = self.scale * np.arange(length) + self.shift
        return positions.clip(0, network_length - 1)


def axis_maps(
    to_network: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[AxisMap, AxisMap, AxisMap] | None:
    """Returns the map of each source axis; None if an axis lies obliquely to the network's.

    `to_network` is the 4×4 matrix from source indices to network indices.
    """
    scales = to_network[:3, :3]
    network_axes = np.abs(scales).argmax(axis=0)  # of each source axis
    if len(set(network_axes.tolist())) < 3:
        return None
    along = scales[network_axes, range(3)]
    oblique = np.abs(scales) @ np.array(shape) - np.abs(along * shape)[np.argsort(network_axes)]
    if oblique.max() > _TOLERANCE_VOXELS:
        return None
    first, second, third = (
        AxisMap(int(axis), float(scale), float(to_network[axis, 3]))
        for axis, scale in zip(network_axes, along, strict=True)
    )
    return first, second, third


def aligned_classes(
    margins: Floats, maps: tuple[AxisMap, AxisMap, AxisMap], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Returns the class of each source voxel (slice, row, column): the label that wins, or 0.

    `margins` (labels, Z, Y, X) are the scores of each label over the background's. The label with
    the highest margin above 0, interpolated at the voxel's centre, wins.
    """
    in_source_order = margins.transpose(0, *(1 + each.network_axis for each in maps))
    positions = [
        each.positions(length, network_length)
        for each, length, network_length in zip(maps, shape, in_source_order.shape[1:], strict=True)
    ]
    classes = np.zeros(shape, dtype=np.uint8)
    best = np.zeros(shape[1:], dtype=np.float32)  # of one slice (row, column)
    labels = [
        (number, _LabelSlices(margin, positions))
        for number, margin in enumerate(in_source_order, start=1)
    ]
    for k in range(shape[0]):
        best.fill(0)
        for number, label in labels:
            if not label.reaches(k):
                continue
            margin, highest = label.margin_at(k), best[label.window]
            wins = margin > highest
            np.copyto(highest, margin, where=wins)
            classes[k][label.window][wins] = number
    return classes


class _LabelSlices:
    """The margin of one label on the source slices, within the box in which it can be positive."""

    def __init__(self, margin: Floats, positions: list[Positions]) -> None:
        ranges = [*_winning_ranges(margin, positions)]
        self._margin = margin
        self._slices = ranges[0]
        self.window = (slice(*ranges[1]), slice(*ranges[2]))
        self._below, self._above, self._fraction = _neighbours(positions[0], len(margin))
        self._down, self._right = (
            positions[axis][start:stop]
            for axis, (start, stop) in zip((1, 2), ranges[1:], strict=True)
        )
        self._planes: dict[int, Floats] = {}  # (row, column) of the window, by network index

    def reaches(self, k: int) -> bool:
        """Whether the label can win on source slice `k`."""
        return self._slices[0] <= k < self._slices[1]

    def margin_at(self, k: int) -> Floats:
        """Returns the margin on source slice `k`, within the window."""
        lower, upper = int(self._below[k]), int(self._above[k])
        self._planes = {
            j: self._planes[j] if j in self._planes else self._plane(j) for j in (lower, upper)
        }
        mixed: Floats = self._planes[lower] * (1 - self._fraction[k])
        mixed += self._planes[upper] * self._fraction[k]
        return mixed

    def _plane(self, j: int) -> Floats:
        plane = self._margin[j]
        below, above, fraction = _neighbours(self._right, plane.shape[1])
        wide = plane[:, below] * (1 - fraction) + plane[:, above] * fraction
        below, above, fraction = _neighbours(self._down, plane.shape[0])
        fraction = fraction[:, np.newaxis]
        full: Floats = wide[below] * (1 - fraction) + wide[above] * fraction
        return full


def _winning_ranges(margin: Floats, positions: list[Positions]) -> Iterator[tuple[int, int]]:
    """Yields the first index and the one after the last of each source axis where a label can win.

    It can win only within one network voxel of one at which its margin is positive.
    """
    wins = margin > 0
    for axis, own in enumerate(positions):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(wins.any(axis=others))
        if len(found) == 0:
            yield 0, 0
            continue
        inside = np.flatnonzero((own > found[0] - 1) & (own < found[-1] + 1))
        yield (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)


def _neighbours(
    positions: Positions, length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Returns the network indices below and above each position, and the fraction between them."""
    below = np.minimum(positions.astype(np.intp), max(0, length - 2))
    above = np.minimum(below + 1, length - 1)
    return below, above, (positions - below).astype(np.float32)
