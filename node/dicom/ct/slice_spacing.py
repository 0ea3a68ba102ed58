"""Distances between slices: the even grid that they are resampled to, or a reason for refusal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from node.dicom.ct.frames import Slice
from node.domain.errors import Rejected, RejectionReason

# A gap may differ from the median gap by this fraction. The volume is then resampled from the true
# positions, and the mask back onto them. Larger differences come from missing slices or from two
# reconstructions in one series.
SPACING_TOLERANCE = 0.1
# A gap of this many median gaps means missing slices: no scanner rounds a position that far.
MISSING_SLICE_GAP = 1.5

Floats = NDArray[np.float64]


def grid_spacing(slices: Sequence[Slice], distances_mm: Floats) -> tuple[float, int]:
    """Returns the spacing of the volume's slices in mm and their number.

    `distances_mm` (N,) ascend from 0 along the normal.

    Raises:
        Rejected: a gap differs from the median gap by more than the tolerance.
    """
    gaps = np.diff(distances_mm)
    check_spacing(slices, gaps)
    return float(distances_mm[-1]) / len(gaps), len(slices)


def check_spacing(slices: Sequence[Slice], gaps: Floats) -> None:
    """Refuses gaps that differ from the median gap by more than the tolerance."""
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
