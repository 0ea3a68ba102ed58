"""Shifts of slices in their plane: those of a tilted gantry, or the reason for a refusal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.frames import Slice
from node.domain.errors import Rejected, RejectionReason

# A stack may shift in the plane by this fraction of a pixel over its length (rounding); more is
# gantry tilt.
IN_PLANE_SHIFT_TOLERANCE = 0.5
# No gantry tilts further. A larger angle comes from wrong positions or orientations.
MAX_TILT_DEGREES = 35.0
# A tilt that the scanner states may differ from that of the positions by this much (rounding to
# whole degrees). If it differs more, the positions are in doubt.
STATED_TILT_TOLERANCE_DEGREES = 1.0

Floats = NDArray[np.float64]


def in_plane_offsets(
    slices: Sequence[Slice], down_mm: Floats, right_mm: Floats, distances_mm: Floats
) -> NDArray[np.intp]:
    """Returns by how many rows and columns each slice is shifted against the first, (N, 2).

    A slice is `down_mm` along the column direction and `right_mm` along the row direction beside
    the normal through the first slice, both (N,), and `distances_mm` from it along the normal. The
    offsets are 0 if the slices lie above each other.

    Raises:
        Rejected: MIXED_GEOMETRY if a slice is shifted otherwise than by a gantry tilt; GANTRY_TILT
            if the tilt is not the one that the scanner states, or larger than any.
    """
    pixel_mm = slices[0].pixel_spacing_mm
    sideways = np.stack([down_mm, right_mm], axis=1)  # (N, 2), mm
    shifts = np.linalg.norm(sideways, axis=1)
    allowed = IN_PLANE_SHIFT_TOLERANCE * min(pixel_mm)
    if shifts.max() <= allowed:
        return np.zeros((len(slices), 2), dtype=np.intp)
    # A tilted gantry shifts each slice by the same step: the shift is linear in the distance.
    slope = sideways.T @ distances_mm / (distances_mm @ distances_mm)  # (2,) mm sideways per mm
    deviations = np.linalg.norm(sideways - np.outer(distances_mm, slope), axis=1)
    if deviations.max() > 2 * allowed:
        worst = int(shifts.argmax())
        raise Rejected(
            RejectionReason.MIXED_GEOMETRY,
            f"The slices do not lie above each other: {slices[worst].name} is shifted sideways by "
            f"{shifts[worst]:.1f} mm. Send each reconstruction as a series of its own.",
        )
    _check_angle(slices[0], float(np.degrees(np.arctan(np.linalg.norm(slope)))))
    offsets: NDArray[np.intp] = np.rint(sideways / pixel_mm).astype(np.intp)
    return offsets


def _check_angle(first: Slice, angle: float) -> None:
    stated = _stated_tilt(first)
    if angle <= MAX_TILT_DEGREES and (
        stated is None or abs(stated - angle) <= STATED_TILT_TOLERANCE_DEGREES
    ):
        return
    hint = "" if stated is None else f"; the scanner says {stated:g}°"
    raise Rejected(
        RejectionReason.GANTRY_TILT,
        f"The series seems to be acquired with a tilted gantry ({angle:.1f}°{hint}), but its "
        "positions are in doubt. Send a reconstruction without tilt.",
    )


def _stated_tilt(slice_: Slice) -> float | None:
    """Returns the absolute Gantry/Detector Tilt (0018,1120) in degrees; None if it is absent."""
    stated = slice_.header.get("GantryDetectorTilt")
    return None if stated is None or stated == "" else abs(float(stated))
