"""Labels interpolated axis by axis are those of the interpolation at any points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from models.inference.aligned_labels import aligned_classes, axis_maps
from models.inference.preprocessing import oblique_classes

_AXES = [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)]
_SHAPE = (11, 17, 13)  # of the source
Matrix = NDArray[np.float64]
Shape = tuple[int, int, int]


@st.composite
def aligned_grids(draw: st.DrawFn) -> tuple[Matrix, Shape]:
    """Draws the map from source to network indices, and the shape of a network grid around it.

    The axes are permuted, go in either direction and have any spacing.
    """
    to_network, network_shape = np.eye(4), [0, 0, 0]
    to_network[:3, :3] = 0
    for axis, network_axis in enumerate(draw(st.sampled_from(_AXES))):
        scale = draw(st.floats(0.15, 1.5)) * draw(st.sampled_from([1, -1]))
        extent = scale * (_SHAPE[axis] - 1)
        length = int(np.ceil(abs(extent))) + 1
        to_network[network_axis, axis] = scale
        to_network[network_axis, 3] = (length - 1 - extent) / 2
        network_shape[network_axis] = length
    return to_network, (network_shape[0], network_shape[1], network_shape[2])


def random_margins(seed: int, labels: int, shape: Shape = (7, 8, 9)) -> NDArray[np.float32]:
    """Returns smooth scores over the background's with several separate parts."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.normal(-0.5, 1.0, (1, labels, 3, 3, 4)).astype(np.float32))
    margins: NDArray[np.float32] = functional.interpolate(coarse, size=shape, mode="trilinear")[
        0
    ].numpy()
    margins[0] -= 5 * (seed % 2)  # of every other seed, the first label never wins
    return margins


@settings(max_examples=60, deadline=None)
@given(drawn=aligned_grids(), seed=st.integers(0, 1000), labels=st.integers(1, 4))
def test_classes_are_those_of_the_interpolation_at_any_points(
    drawn: tuple[Matrix, Shape], seed: int, labels: int
) -> None:
    to_network, network_shape = drawn
    margins = random_margins(seed, labels, network_shape)
    maps = axis_maps(to_network, _SHAPE)
    assert maps is not None
    found = aligned_classes(margins, maps, _SHAPE)
    expected = oblique_classes(torch.from_numpy(margins), to_network, _SHAPE)
    # Rounding may decide where two labels are equally likely.
    assert np.count_nonzero(found != expected) <= 0.002 * found.size


def test_a_network_grid_of_one_voxel_along_an_axis_is_interpolated() -> None:
    margins = random_margins(2, 2)[:, 3:4]
    maps = axis_maps(np.eye(4), (1, 8, 9))
    assert maps is not None
    expected = oblique_classes(torch.from_numpy(margins), np.eye(4), (1, 8, 9))
    assert (aligned_classes(margins, maps, (1, 8, 9)) == expected).all()
    assert expected.any()


def test_nothing_is_found_where_no_label_wins() -> None:
    maps = axis_maps(np.eye(4), (7, 8, 9))
    assert maps is not None
    assert not aligned_classes(np.full((2, 7, 8, 9), -1, np.float32), maps, (7, 8, 9)).any()


@pytest.mark.parametrize(("degrees", "is_aligned"), [(0.0, True), (0.00001, True), (0.5, False)])
def test_a_grid_that_is_turned_is_not_aligned(degrees: float, is_aligned: bool) -> None:
    turned = np.eye(4)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned[1:3, 1:3] = [[cosine, -sine], [sine, cosine]]
    assert (axis_maps(turned, (400, 512, 512)) is not None) == is_aligned


def test_axes_that_lie_between_those_of_the_network_are_not_aligned() -> None:
    between = np.eye(4)
    between[1] = [1, 0.1, 0, 0]
    assert axis_maps(between, (4, 4, 4)) is None
