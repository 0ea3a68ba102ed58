"""Slices in order along their normal: the geometry of a series, or why it has none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.frames import Slice
from node.dicom.ct.suitability import check_acquisitions
from node.domain.errors import Rejected, RejectionReason

# Slices closer than this lie at one place: thinner slices do not exist in body CT.
SAME_PLACE_MM = 0.01
# A gap may differ from the usual gap by this share; the volume is then resampled by the true
# positions, and the mask back onto them. Larger differences come from missing slices or from two
# reconstructions in one series.
SPACING_TOLERANCE = 0.1
# From here on a gap is told as missing slices: no scanner rounds a position that far.
MISSING_SLICE_GAP = 1.5
# Positions this close to an even grid, as a share of the spacing, are even: it is the rounding of
# positions to three decimals in common slice distances.
EVEN_GRID_TOLERANCE = 0.01
# A stack may lean sideways by this share of a pixel over its whole length (rounding); more is tilt.
LEAN_TOLERANCE = 0.5
# A direction cosine's length may be off by this much through rounding to three decimals.
_UNIT_TOLERANCE = 5e-3
# Fewer slices span no volume.
_MIN_SLICES = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """Slices in ascending order along the normal, which is row direction × column direction."""

    slices: tuple[Slice, ...]
    distances_mm: tuple[float, ...]  # of each slice from the first, along the normal
    row_direction: Floats  # (3,) unit vector in LPS: the way of increasing column index
    column_direction: Floats  # (3,) unit vector in LPS: the way of increasing row index
    normal: Floats  # (3,) unit vector in LPS

    @property
    def spacing_mm(self) -> float:
        """The mean distance from slice to slice."""
        return self.distances_mm[-1] / (len(self.slices) - 1)

    @property
    def is_even(self) -> bool:
        """Whether the slices lie on an even grid, but for rounding."""
        even = np.arange(len(self.slices)) * self.spacing_mm
        off = np.abs(np.asarray(self.distances_mm) - even).max()
        return bool(off <= EVEN_GRID_TOLERANCE * self.spacing_mm)

    @property
    def affine(self) -> Floats:
        """4×4, from (slice, row, column) index to LPS mm, on the even grid."""
        between_rows, between_columns = self.slices[0].pixel_spacing_mm
        affine = np.eye(4)
        affine[:3, 0] = self.normal * self.spacing_mm
        affine[:3, 1] = self.column_direction * between_rows
        affine[:3, 2] = self.row_direction * between_columns
        affine[:3, 3] = self.slices[0].position
        return affine


def stack(slices: Sequence[Slice]) -> Stack:
    """The slices, which share size and orientation, in order of position.

    Raises:
        Rejected: too few slices, double or missing positions, uneven spacing, or gantry tilt.
    """
    if len(slices) < _MIN_SLICES:
        raise Rejected(
            RejectionReason.TOO_FEW_SLICES,
            f"The series has {len(slices)} slice; a volume needs at least {_MIN_SLICES}. "
            "Send the whole series.",
        )
    row, column, normal = _directions(slices[0])
    positions = np.array([s.position for s in slices])  # (N, 3)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = tuple(slices[k] for k in order)
    distances = along[order] - along[order[0]]
    check_acquisitions(ordered, distances.tolist(), SAME_PLACE_MM)
    _check_lean(ordered, positions[order], distances, normal)
    _check_spacing(ordered, distances)
    return Stack(ordered, tuple(distances.tolist()), row, column, normal)


def _directions(slice_: Slice) -> tuple[Floats, Floats, Floats]:
    """Row, column and normal directions, made exactly orthonormal."""
    row, column = np.array(slice_.orientation[:3]), np.array(slice_.orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(row @ column) > _UNIT_TOLERANCE:
        raise Rejected(
            RejectionReason.MISSING_GEOMETRY,
            f"{slice_.name.capitalize()} has an invalid orientation (ImageOrientationPatient are "
            "not two perpendicular directions). Send the original series from the scanner.",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return row, column, np.cross(row, column)


def _check_lean(
    slices: Sequence[Slice], positions: Floats, distances: Floats, normal: Floats
) -> None:
    """Refuse a stack whose slices are shifted sideways: gantry tilt, or slices out of place."""
    sideways = positions - positions[0] - np.outer(distances, normal)  # (N, 3), mm in the plane
    allowed = LEAN_TOLERANCE * min(slices[0].pixel_spacing_mm)
    if np.linalg.norm(sideways, axis=1).max() <= allowed:
        return
    # A tilted gantry shifts each slice by the same step: the shift grows straight with distance.
    slope = sideways.T @ distances / (distances @ distances)  # (3,) mm sideways per mm
    if np.linalg.norm(sideways - np.outer(distances, slope), axis=1).max() <= 2 * allowed:
        angle = float(np.degrees(np.arctan(np.linalg.norm(slope))))
        said = slices[0].header.get("GantryDetectorTilt")
        hint = f"; the scanner says {float(said):g}°" if said else ""
        raise Rejected(
            RejectionReason.GANTRY_TILT,
            f"The series was acquired with a tilted gantry ({angle:.1f}°{hint}), which is not "
            "handled yet. Send a reconstruction without tilt.",
        )
    worst = int(np.linalg.norm(sideways, axis=1).argmax())
    raise Rejected(
        RejectionReason.MIXED_GEOMETRY,
        f"The slices do not lie above each other: {slices[worst].name} is shifted sideways by "
        f"{np.linalg.norm(sideways[worst]):.1f} mm. "
        "Send each reconstruction as a series of its own.",
    )


def _check_spacing(slices: Sequence[Slice], distances: Floats) -> None:
    """Refuse gaps that differ from the usual gap by more than the tolerance."""
    gaps = np.diff(distances)
    usual = float(np.median(gaps))
    wide = np.flatnonzero(gaps >= MISSING_SLICE_GAP * usual)
    # Where most gaps are wide the usual one is unknown: that is uneven spacing, told below.
    if len(wide):
        k = int(wide[0])
        missing = int(sum(round(gap / usual) - 1 for gap in gaps[wide]))
        raise Rejected(
            RejectionReason.MISSING_SLICES,
            f"Slices are missing: between {slices[k].name} and {slices[k + 1].name} the gap is "
            f"{gaps[k]:.2f} mm, elsewhere {usual:.2f} mm; about {max(missing, 1)} of "
            f"{len(slices) + max(missing, 1)} slices did not arrive. Send the series again.",
        )
    uneven = np.abs(gaps - usual) > SPACING_TOLERANCE * usual
    if uneven.any():
        raise Rejected(
            RejectionReason.UNEVEN_SPACING,
            f"The distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm, "
            f"more than {SPACING_TOLERANCE:.0%}. Send a reconstruction with even spacing.",
        )
