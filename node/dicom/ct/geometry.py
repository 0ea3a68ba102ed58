"""The geometry of a series: its slices sorted along their normal, or the reason for a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.frames import Slice
from node.dicom.ct.suitability import check_acquisitions
from node.domain.errors import Rejected, RejectionReason

# Slices closer than this are at the same position: thinner slices do not exist in body CT.
SAME_POSITION_MM = 0.01
# A gap may differ from the median gap by this fraction. The volume is then resampled from the true
# positions, and the mask back onto them. Larger differences come from missing slices or from two
# reconstructions in one series.
SPACING_TOLERANCE = 0.1
# A gap of this many median gaps means missing slices: no scanner rounds a position that far.
MISSING_SLICE_GAP = 1.5
# Positions this close to an even grid, as a fraction of the spacing, are even. This is the effect
# of rounding positions to three decimals at common slice distances.
EVEN_GRID_TOLERANCE = 0.01
# A stack may shift in the plane by this fraction of a pixel over its length (rounding); more is
# gantry tilt.
IN_PLANE_SHIFT_TOLERANCE = 0.5
# A direction cosine's length may be off by this much through rounding to three decimals.
_UNIT_TOLERANCE = 5e-3
# Fewer slices span no volume.
_MIN_SLICES = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """Slices in ascending order along the normal (row direction × column direction)."""

    slices: tuple[Slice, ...]
    distances_mm: tuple[float, ...]  # of each slice from the first, along the normal
    row_direction: Floats  # (3,) unit vector in LPS, toward increasing column index
    column_direction: Floats  # (3,) unit vector in LPS, toward increasing row index
    normal: Floats  # (3,) unit vector in LPS

    @property
    def spacing_mm(self) -> float:
        """The mean distance between slices."""
        return self.distances_mm[-1] / (len(self.slices) - 1)

    @property
    def is_evenly_spaced(self) -> bool:
        """Whether the slices are on an even grid within `EVEN_GRID_TOLERANCE`."""
        even = np.arange(len(self.slices)) * self.spacing_mm
        deviation = np.abs(np.asarray(self.distances_mm) - even).max()
        return bool(deviation <= EVEN_GRID_TOLERANCE * self.spacing_mm)

    @property
    def affine(self) -> Floats:
        """The 4×4 matrix from (slice, row, column) index to LPS mm, on the even grid."""
        between_rows, between_columns = self.slices[0].pixel_spacing_mm
        affine = np.eye(4)
        affine[:3, 0] = self.normal * self.spacing_mm
        affine[:3, 1] = self.column_direction * between_rows
        affine[:3, 2] = self.row_direction * between_columns
        affine[:3, 3] = self.slices[0].position
        return affine


def stack_slices(slices: Sequence[Slice]) -> Stack:
    """Sorts slices of equal size and orientation by position.

    Raises:
        Rejected: too few slices, duplicate or missing positions, uneven spacing, or gantry tilt.
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
    check_acquisitions(ordered, distances.tolist(), SAME_POSITION_MM)
    _check_in_plane_shift(ordered, positions[order], distances, normal)
    _check_spacing(ordered, distances)
    return Stack(ordered, tuple(distances.tolist()), row, column, normal)


def _directions(slice_: Slice) -> tuple[Floats, Floats, Floats]:
    """Returns the row, column and normal directions, exactly orthonormal."""
    row, column = np.array(slice_.orientation[:3]), np.array(slice_.orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(row @ column) > _UNIT_TOLERANCE:
        raise Rejected(
            RejectionReason.MISSING_GEOMETRY,
            f"{slice_.name.capitalize()} has an invalid orientation (ImageOrientationPatient "
            "does not hold two perpendicular directions). Send the original series from the "
            "scanner.",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return row, column, np.cross(row, column)


def _check_in_plane_shift(
    slices: Sequence[Slice], positions: Floats, distances: Floats, normal: Floats
) -> None:
    """Refuses a stack whose slices are shifted in the plane: gantry tilt or misplaced slices."""
    sideways = positions - positions[0] - np.outer(distances, normal)  # (N, 3), mm in the plane
    allowed = IN_PLANE_SHIFT_TOLERANCE * min(slices[0].pixel_spacing_mm)
    if np.linalg.norm(sideways, axis=1).max() <= allowed:
        return
    # A tilted gantry shifts each slice by the same step: the shift is linear in the distance.
    slope = sideways.T @ distances / (distances @ distances)  # (3,) mm sideways per mm
    if np.linalg.norm(sideways - np.outer(distances, slope), axis=1).max() <= 2 * allowed:
        angle = float(np.degrees(np.arctan(np.linalg.norm(slope))))
        declared = slices[0].header.get("GantryDetectorTilt")
        hint = f"; the scanner says {float(declared):g}°" if declared else ""
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
    """Refuses gaps that differ from the median gap by more than the tolerance."""
    gaps = np.diff(distances)
    median = float(np.median(gaps))
    wide = np.flatnonzero(gaps >= MISSING_SLICE_GAP * median)
    # If most gaps are wide, the median is not a reference: that is uneven spacing, refused below.
    if len(wide):
        k = int(wide[0])
        missing = int(sum(round(gap / median) - 1 for gap in gaps[wide]))
        raise Rejected(
            RejectionReason.MISSING_SLICES,
            f"Slices are missing: between {slices[k].name} and {slices[k + 1].name} the gap is "
            f"{gaps[k]:.2f} mm, elsewhere {median:.2f} mm; about {max(missing, 1)} of "
            f"{len(slices) + max(missing, 1)} slices did not arrive. Send the series again.",
        )
    uneven = np.abs(gaps - median) > SPACING_TOLERANCE * median
    if uneven.any():
        raise Rejected(
            RejectionReason.UNEVEN_SPACING,
            f"The distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm, "
            f"more than {SPACING_TOLERANCE:.0%}. Send a reconstruction with even spacing.",
        )
