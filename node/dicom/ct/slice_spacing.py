"""Distances between slices: the even grid that they are resampled to, or a reason for refusal.

A series has one spacing, or several in pieces: a scan of 4 mm slices that goes on with 7 mm slices.
Pieces are accepted only where no slice can be missing:

1. Each piece has at least `MIN_PIECE_GAPS` gaps, all within `SPACING_TOLERANCE` of their median.
2. Where two pieces meet, at most one gap belongs to neither. It is not wider than the wider spacing
   of the two (with the same tolerance). It may be narrow: the last slice of one piece and the first
   of the next may overlap.
3. The wider spacing of two that meet is less than `MAX_SPACING_RATIO` times the other. About two
   times the spacing is the gap that a missing slice leaves.
4. The numbers of the images ascend or descend by one along the whole stack, without a gap.
"""

from collections.abc import Sequence
from itertools import pairwise

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
# Fewer equal gaps could be the accidental pattern of missing slices.
MIN_PIECE_GAPS = 3
# A grid of this spacing is fine enough for every organ; a finer one would only take memory.
FINE_GRID_MM = 1.0
# Two gaps, each with the tolerance, are at least this many: 2 × (1 − 0.1).
MAX_SPACING_RATIO = 1.8

Floats = NDArray[np.float64]
Piece = tuple[int, int]  # the first gap, and the one after the last


def grid_spacing(slices: Sequence[Slice], distances_mm: Floats) -> tuple[float, int]:
    """Returns the spacing of the volume's slices in mm and their number.

    `distances_mm` (N,) ascend from 0 along the normal. The slices of a series in pieces do not lie
    on one grid. Its grid has half the narrowest spacing, so that a mask loses little on its way
    from there to the slices.

    Raises:
        Rejected: the spacing is neither regular nor regular in pieces.
    """
    gaps, extent_mm = np.diff(distances_mm), float(distances_mm[-1])
    if _is_regular(gaps):
        return extent_mm / len(gaps), len(slices)
    pieces = _pieces(gaps)
    if not _has_accepted_pieces(gaps, pieces):
        raise _refusal(slices, gaps, pieces)
    if not _is_numbered_without_gap(slices):
        raise Rejected(
            RejectionReason.UNEVEN_SPACING,
            f"The distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm, and "
            "the numbers of the images have a gap, so slices may be missing. Send the series "
            "again, or a reconstruction with even spacing.",
        )
    narrowest_mm = min(_spacing(gaps, piece) for piece in pieces)
    grid_mm = max(narrowest_mm / 2, min(narrowest_mm, FINE_GRID_MM))
    count = int(np.ceil(extent_mm / grid_mm))
    return extent_mm / count, count + 1


def _is_regular(gaps: Floats) -> bool:
    median = float(np.median(gaps))
    return bool((np.abs(gaps - median) <= SPACING_TOLERANCE * median).all())


def _pieces(gaps: Floats) -> list[Piece]:
    """Returns the longest runs of about equal gaps, of at least `MIN_PIECE_GAPS`."""
    pieces, start = [], 0
    for end in range(1, len(gaps) + 1):
        mean = float(gaps[start:end].mean())
        if end < len(gaps) and abs(gaps[end] - mean) <= SPACING_TOLERANCE * mean:
            continue
        if end - start >= MIN_PIECE_GAPS:
            pieces.append((start, end))
        start = end
    return pieces


def _spacing(gaps: Floats, piece: Piece) -> float:
    return float(np.median(gaps[slice(*piece)]))


def _has_accepted_pieces(gaps: Floats, pieces: Sequence[Piece]) -> bool:
    """Returns whether the gaps follow the rules 1 to 3 of the module."""
    if len(pieces) < 2 or pieces[0][0] != 0 or pieces[-1][1] != len(gaps):
        return False
    if not all(_is_regular(gaps[slice(*piece)]) for piece in pieces):
        return False
    for one, next_one in pairwise(pieces):
        narrow, wide = sorted((_spacing(gaps, one), _spacing(gaps, next_one)))
        between = gaps[one[1] : next_one[0]]
        if wide >= MAX_SPACING_RATIO * narrow or len(between) > 1:
            return False
        if (between > (1 + SPACING_TOLERANCE) * wide).any():
            return False
    return True


def _is_numbered_without_gap(slices: Sequence[Slice]) -> bool:
    """Returns whether the numbers of frames or instances follow rule 4 of the module."""
    numbers = [
        slice_.header.get("InstanceNumber") if slice_.frame_number is None else slice_.frame_number
        for slice_ in slices
    ]
    if not all(isinstance(number, int) for number in numbers):
        return False
    steps = set(np.diff(np.array(numbers, dtype=np.int64)).tolist())
    return steps in ({1}, {-1})


def _refusal(slices: Sequence[Slice], gaps: Floats, pieces: Sequence[Piece]) -> Rejected:
    usual = _usual_gaps(gaps, pieces)
    wide = np.flatnonzero(gaps >= MISSING_SLICE_GAP * usual)
    # If most gaps are wide, the median is not a reference: that is uneven spacing.
    if len(wide):
        k = int(wide[0])
        missing = int(sum(round(gap) - 1 for gap in gaps[wide] / usual[wide]))
        return Rejected(
            RejectionReason.MISSING_SLICES,
            f"Slices are missing: between {slices[k].name} and {slices[k + 1].name} the gap is "
            f"{gaps[k]:.2f} mm, elsewhere {usual[k]:.2f} mm; about {max(missing, 1)} of "
            f"{len(slices) + max(missing, 1)} slices did not arrive. Send the series again.",
        )
    return Rejected(
        RejectionReason.UNEVEN_SPACING,
        f"The distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm, "
        f"more than {SPACING_TOLERANCE:.0%}. Send a reconstruction with even spacing.",
    )


def _usual_gaps(gaps: Floats, pieces: Sequence[Piece]) -> Floats:
    """Returns what each gap is compared with, to find missing slices.

    It is the median gap; but in a series in pieces, the spacing of the gap's piece, and between two
    pieces the wider of their spacings.
    """
    spacings = [_spacing(gaps, piece) for piece in pieces]
    usual = np.full(len(gaps), np.median(gaps))
    ratios = [max(a, b) / min(a, b) for a, b in pairwise(spacings)]
    if not ratios or max(ratios) >= MAX_SPACING_RATIO:
        return usual
    for (start, end), spacing in zip(pieces, spacings, strict=True):
        usual[start:end] = spacing
    for (one, next_one), between in zip(pairwise(pieces), pairwise(spacings), strict=True):
        usual[one[1] : next_one[0]] = max(between)
    return usual
