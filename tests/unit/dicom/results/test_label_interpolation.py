"""Labels between slices: their edges move evenly from one slice to the next."""

import numpy as np
import pytest
from numpy.typing import NDArray

from node.dicom.results.label_interpolation import slices_at


def _cone(places: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A cone whose radius grows by 3 pixels a slice, from 4 at slice 0, cut at these places."""
    y, x = np.ogrid[0:60, 0:60]
    radius = 4 + 3 * places[:, None, None]
    cone: NDArray[np.uint8] = (((y - 30) ** 2 + (x - 30) ** 2)[None] < radius**2).astype(np.uint8)
    return cone


def test_at_a_slice_nothing_changes() -> None:
    cone = _cone(np.arange(7.0))
    assert (slices_at(cone, np.arange(7.0)) == cone).all()
    assert (slices_at(cone, np.array([0.01, 5.99])) == cone[[0, 6]]).all()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_between_slices_an_edge_is_where_it_would_be(share: float) -> None:
    places = np.arange(6.0) + share
    found, true = slices_at(_cone(np.arange(7.0)), places), _cone(places)
    for one, other in zip(found, true, strict=True):
        assert np.sqrt(one.sum() / np.pi) == pytest.approx(np.sqrt(other.sum() / np.pi), abs=0.75)


def test_several_labels_stay_apart_and_ends_stay_ends() -> None:
    labels = np.zeros((3, 20, 20), dtype=np.uint8)
    labels[:, 2:8, 2:8], labels[:, 12:18, 12:18] = 1, 3
    labels[2] = 0
    found = slices_at(labels, np.array([0.5, 1.25, 1.75, 2.0]))
    assert (found[0] == labels[0]).all()
    assert set(np.unique(found[1])) <= {0, 1, 3}
    assert not found[2:].any()
