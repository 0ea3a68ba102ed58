"""Interpolated labels: edges move linearly from one slice to the next."""

import numpy as np
import pytest
from numpy.typing import NDArray

from node.dicom.results.source_slices.label_interpolation import interpolate_labels


def _cone(slice_indices: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Returns slices of a cone whose radius grows by 3 pixels per slice, from 4 at slice 0."""
    y, x = np.ogrid[0:60, 0:60]
    radius = 4 + 3 * slice_indices[:, None, None]
    cone: NDArray[np.uint8] = (((y - 30) ** 2 + (x - 30) ** 2)[None] < radius**2).astype(np.uint8)
    return cone


def test_labels_at_a_slice_are_unchanged() -> None:
    cone = _cone(np.arange(7.0))
    assert (interpolate_labels(cone, np.arange(7.0)) == cone).all()
    assert (interpolate_labels(cone, np.array([0.01, 5.99])) == cone[[0, 6]]).all()


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_an_edge_between_slices_is_interpolated_linearly(fraction: float) -> None:
    indices = np.arange(6.0) + fraction
    found, expected = interpolate_labels(_cone(np.arange(7.0)), indices), _cone(indices)
    for one, other in zip(found, expected, strict=True):
        assert np.sqrt(one.sum() / np.pi) == pytest.approx(np.sqrt(other.sum() / np.pi), abs=0.75)


def test_several_labels_stay_separate_and_end_where_they_end() -> None:
    labels = np.zeros((3, 20, 20), dtype=np.uint8)
    labels[:, 2:8, 2:8], labels[:, 12:18, 12:18] = 1, 3
    labels[2] = 0
    found = interpolate_labels(labels, np.array([0.5, 1.25, 1.75, 2.0]))
    assert (found[0] == labels[0]).all()
    assert set(np.unique(found[1])) <= {0, 1, 3}
    assert not found[2:].any()
