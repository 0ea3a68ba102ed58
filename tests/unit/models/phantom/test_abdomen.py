"""The abdomen phantom: a plausible body, reproducible by seed, on any grid."""

import numpy as np
import pytest

from models.phantom import Phantom, abdomen, paint
from models.phantom.tissues import Tissue
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, grid, oblique

_SPACING_MM = (8.0, 5.0, 5.0)
_SHAPE = (38, 78, 78)


def _small(seed: int) -> Phantom:
    return abdomen(seed, spacing_mm=_SPACING_MM, shape=_SHAPE)


def _ml(phantom: Phantom, *tissues: Tissue) -> float:
    count = np.isin(phantom.tissues.array, [int(t) for t in tissues]).sum()
    return float(count * phantom.volume.voxel_volume / 1000)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_organs_have_the_size_of_an_adults(seed: int) -> None:
    phantom = _small(seed)
    assert 700 < phantom.mask.volume.array.sum() * phantom.volume.voxel_volume / 1000 < 2300
    assert 60 < _ml(phantom, Tissue.SPLEEN) < 500
    assert 120 < _ml(phantom, Tissue.KIDNEY) < 700
    assert _ml(phantom, Tissue.LUNG) > 1000
    assert _ml(phantom, Tissue.BONE, Tissue.MARROW) > 200
    for tissue in (Tissue.AORTA, Tissue.STOMACH, Tissue.HEART, Tissue.TABLE, Tissue.SKIN):
        assert _ml(phantom, tissue) > 5


def test_the_liver_is_on_the_right_with_the_hu_of_soft_tissue() -> None:
    phantom = _small(1)
    inside = np.argwhere(phantom.mask.volume.array > 0)
    centre = phantom.volume.map_indices_to_reference(inside.mean(axis=0)[None])[0]
    assert centre[0] < -15  # LPS: the patient's right
    assert 80 < phantom.volume.array[phantom.mask.volume.array > 0].mean() < 140


def test_slices_ascend_to_the_head_and_rows_to_the_back() -> None:
    volume = _small(1).volume
    assert volume.array.dtype == np.int16
    assert volume.spacing == pytest.approx(_SPACING_MM)
    assert np.allclose(volume.affine[:3, :3] @ [1, 0, 0], [0, 0, _SPACING_MM[0]])
    assert np.allclose(volume.affine[:3, :3] @ [0, 1, 0], [0, _SPACING_MM[1], 0])


def test_the_same_seed_gives_the_same_body() -> None:
    assert (_small(5).volume.array == _small(5).volume.array).all()
    assert (_small(5).volume.array != _small(6).volume.array).any()


@pytest.mark.parametrize("directions", [CORONAL, FEET_FIRST, oblique()])
def test_the_liver_has_the_same_position_and_size_on_any_grid(directions: Directions) -> None:
    oriented = grid(directions, slices=58, rows=58, columns=58, spacing_mm=(6.0, 6.0, 6.0))
    axial = grid(AXIAL, slices=58, rows=58, columns=58, spacing_mm=(6.0, 6.0, 6.0))
    centres, volumes = [], []
    for geometry in (oriented, axial):
        liver = paint(geometry, seed=7).mask.volume
        centres.append(liver.map_indices_to_reference(np.argwhere(liver.array > 0)).mean(axis=0))
        volumes.append(float(liver.array.sum()))
    assert np.allclose(centres[0], centres[1], atol=1.0)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.02)


def test_a_volume_below_the_liver_contains_no_liver() -> None:
    pelvis = abdomen(1, spacing_mm=_SPACING_MM, shape=(20, 96, 96), centre_mm=(0, 0, -300))
    assert not pelvis.mask.volume.array.any()
    assert (pelvis.tissues.array == Tissue.MUSCLE).any()
