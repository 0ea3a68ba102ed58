"""Filling the outlines of any small mask gives back its pixels, by both filling rules."""

import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from node.dicom.results.contours.outlines import Outline, outline, regions_of
from tests.support.dicom.rasterised import filled

_masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


def windings(corners: Outline, shape: tuple[int, int]) -> NDArray[np.intp]:
    """The winding number of a rectilinear polygon around each pixel centre (row, column)."""
    rows, columns = np.indices(shape) + 0.5
    number = np.zeros(shape, dtype=np.intp)
    for (x, start), (next_x, stop) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if x == next_x:  # a vertical edge: it counts for the centres to its left
            beside = (min(start, stop) < rows) & (rows < max(start, stop)) & (columns < x)
            number += beside * np.sign(stop - start)
    return number


@settings(max_examples=300, deadline=None)
@given(inside=_masks)
def test_outlines_fill_to_the_mask(inside: NDArray[np.bool_]) -> None:
    outlines = [outline(region) for region in regions_of(inside)]
    by_pillow = [filled(corners.astype(float), inside.shape) for corners in outlines]
    np.testing.assert_array_equal(np.sum(by_pillow, axis=0, initial=0), inside)
    # Each outline winds once around its pixels, in one sense: both filling rules agree.
    numbers = [windings(corners, inside.shape) for corners in outlines]
    np.testing.assert_array_equal(np.abs(np.sum(numbers, axis=0, initial=0)), inside)


@settings(max_examples=100, deadline=None)
@given(inside=_masks)
def test_outlines_have_no_superfluous_points(inside: NDArray[np.bool_]) -> None:
    for region in regions_of(inside):
        corners = outline(region)
        steps = np.roll(corners, -1, axis=0) - corners
        assert ((steps == 0).sum(axis=1) == 1).all()  # horizontal or vertical, and never empty
        direction = np.sign(steps)
        assert (direction != np.roll(direction, 1, axis=0)).any(axis=1).all()
