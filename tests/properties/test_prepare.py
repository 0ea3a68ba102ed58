"""Preprocessing and its inverse keep every position, for any orientation, spacing and crop."""

from dataclasses import replace

import highdicom as hd
import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from models.inference.preprocessing import prepare, restore
from tests.support.dicom.body import grid, oblique, voxel_positions
from tests.support.dicom.builders import LIVER, SPLEEN, model_spec

_degrees = st.floats(-180, 180, allow_nan=False).map(lambda value: round(value, 1))
_coordinate = st.floats(-500, 500).map(lambda value: round(value, 1))
_SPEC = replace(model_spec(), spacing_mm=(4.0, 4.0, 4.0), hu_window=(0.0, 100.0))


@st.composite
def geometries(draw: st.DrawFn) -> hd.VolumeGeometry:
    """Draws anisotropic grids of about 100 to 200 mm a side, in any rotation and position."""
    spacing = [draw(st.floats(1.0, 5.0)) for _ in range(3)]
    slices, rows, columns = (max(3, int(draw(st.floats(100, 200)) / s)) for s in spacing)
    return grid(
        oblique(draw(_degrees), draw(_degrees), draw(_degrees)),
        slices=slices,
        rows=rows,
        columns=columns,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        centre=(draw(_coordinate), draw(_coordinate), draw(_coordinate)),
    )


def _blob(geometry: hd.VolumeGeometry, off: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns an ellipsoid of half-axes 25 to 40 mm, `off` from the grid centre (LPS, mm)."""
    corners = np.array([[0, 0, 0], np.array(geometry.spatial_shape) - 1])
    middle = geometry.map_indices_to_reference(corners).mean(axis=0) + off
    scaled = (voxel_positions(geometry) - middle) / (40, 25, 32)
    inside: NDArray[np.bool_] = (scaled**2).sum(axis=-1) < 1
    return inside


def _prepare_and_restore(hu: hd.Volume) -> hd.Volume:
    """Prepares and restores `hu` (0 and 100) with a network that segments values above 50."""
    prepared = prepare(hu, _SPEC)
    found = prepared.tensor[0]  # (1, Z, Y, X)
    return restore(torch.cat([0.5 - found, found - 0.5]), prepared, _SPEC).volume


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(geometry=geometries(), seed=st.integers(0, 1000))
def test_a_mask_comes_back_on_the_source_grid_in_the_same_place(
    geometry: hd.VolumeGeometry, seed: int
) -> None:
    blob = _blob(geometry, np.random.default_rng(seed).uniform(-8, 8, 3))
    back = _prepare_and_restore(geometry.with_array((blob * 100).astype(np.int16)))
    assert back.geometry_equal(geometry)
    got = back.array > 0
    assert 2 * (got & blob).sum() / (got.sum() + blob.sum()) > 0.9
    moved = np.argwhere(got).mean(axis=0) - np.argwhere(blob).mean(axis=0)
    # A tenth of the network's voxel size: no shift by half a voxel.
    assert np.abs(moved * geometry.spacing).max() < 0.4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(geometry=geometries())
def test_the_network_input_has_a_fixed_orientation_and_covers_the_source(
    geometry: hd.VolumeGeometry,
) -> None:
    prepared = prepare(geometry.with_array(np.full(geometry.spatial_shape, 50, np.int16)), _SPEC)
    directions = prepared.affine[:3, :3] / 4.0
    assert np.allclose(directions, [[0, 0, -1], [0, -1, 0], [1, 0, 0]])
    ends = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners = geometry.map_indices_to_reference(ends * (np.array(geometry.spatial_shape) - 1))
    indices = np.c_[corners, np.ones(8)] @ np.linalg.inv(prepared.affine).T
    shape = np.array(prepared.tensor.shape[2:])
    assert (indices[:, :3] > -0.51).all()
    assert (indices[:, :3] < shape - 0.49).all()
    assert 0.0 <= float(prepared.tensor.min()) <= float(prepared.tensor.max()) <= 0.501


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(geometry=geometries(), data=st.data())
def test_a_crop_gets_the_same_mask_as_the_whole_volume(
    geometry: hd.VolumeGeometry, data: st.DataObject
) -> None:
    blob = _blob(geometry, np.zeros(3))
    whole = geometry.with_array((blob * 100).astype(np.int16))
    sizes = geometry.spatial_shape
    start = [data.draw(st.integers(0, n // 3)) for n in sizes]
    stop = [data.draw(st.integers(n - n // 3, n)) for n in sizes]
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    # highdicom annotates the index as a tuple of one.
    cut = _prepare_and_restore(whole[box]).array > 0  # type: ignore[index]
    full = _prepare_and_restore(whole).array[box] > 0
    assert (cut == full).mean() > 0.97


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(geometry=geometries(), seed=st.integers(0, 1000))
def test_restored_labels_equal_those_of_linearly_interpolated_scores(
    geometry: hd.VolumeGeometry, seed: int
) -> None:
    # Rare islands that reach the grid's edges: a restriction to their surroundings loses nothing.
    prepared = prepare(geometry.with_array(np.zeros(geometry.spatial_shape, np.int16)), _SPEC)
    shape = tuple(prepared.tensor.shape[2:])
    islands = np.random.default_rng(seed).random((2, *shape)) < 3 / np.prod(shape)
    scores = np.concatenate([np.zeros((1, *shape)), np.where(islands, 1.0, -0.2)])
    two = replace(_SPEC, labels=(LIVER, SPLEEN))
    got = restore(torch.from_numpy(scores).float(), prepared, two).volume.array
    indices = voxel_positions(geometry) @ np.linalg.inv(prepared.affine)[:3, :3].T
    indices += np.linalg.inv(prepared.affine)[:3, 3]
    at = [
        ndimage.map_coordinates(one, np.moveaxis(indices, -1, 0), order=1, mode="nearest")
        for one in scores
    ]
    clear = np.abs(np.sort(at, axis=0)[-1] - np.sort(at, axis=0)[-2]) > 1e-3
    assert (got == np.argmax(at, axis=0))[clear].all()
