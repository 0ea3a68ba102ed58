"""Masks and their measurements."""

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from models.mask import Mask
from models.measurement import measure
from tests.support.dicom.body import grid
from tests.support.dicom.builders import LIVER, SPLEEN


def _grid() -> hd.VolumeGeometry:
    # 5 x 2 x 2 mm: 50 voxels are 1 mL.
    return grid(slices=8, rows=20, columns=20, spacing_mm=(5.0, 2.0, 2.0))


def _mask(values: NDArray[np.uint8]) -> Mask:
    return Mask(_grid().with_array(values), (LIVER, SPLEEN))


def _empty() -> NDArray[np.uint8]:
    return np.zeros(_grid().spatial_shape, dtype=np.uint8)


def test_a_known_block_has_its_volume_and_mean() -> None:
    values = _empty()
    values[2:4, 5:10, 5:10] = 1  # 50 voxels
    hu = np.full(values.shape, -1000, dtype=np.int16)
    hu[2, 5:10, 5:10], hu[3, 5:10, 5:10] = 100, 120
    found = measure(_grid().with_array(hu), _mask(values))
    assert found["Liver"].volume_ml == pytest.approx(1.0)
    assert found["Liver"].mean_hu == pytest.approx(110.0)
    assert not found["Liver"].cut_by_series


def test_an_organ_that_was_not_found_has_no_mean() -> None:
    volume = _grid().with_array(np.zeros(_grid().spatial_shape, dtype=np.int16))
    found = measure(volume, _mask(_empty()))
    assert found["Spleen"].volume_ml == 0.0
    assert found["Spleen"].mean_hu is None


@pytest.mark.parametrize("end", [0, -1])
def test_an_organ_on_the_first_or_last_slice_is_cut_by_the_series(end: int) -> None:
    values = _empty()
    values[end, 3, 3] = 2
    volume = _grid().with_array(np.zeros(values.shape, dtype=np.int16))
    found = measure(volume, _mask(values))
    assert found["Spleen"].cut_by_series
    assert not found["Liver"].cut_by_series


def test_a_volume_on_another_grid_is_not_measured() -> None:
    elsewhere = grid(slices=8, rows=20, columns=20, spacing_mm=(5.0, 2.0, 2.0), centre=(1, 0, 0))
    volume = elsewhere.with_array(np.zeros(elsewhere.spatial_shape, dtype=np.int16))
    with pytest.raises(ValueError, match="same grid"):
        measure(volume, _mask(_empty()))


def test_a_mask_is_uint8_and_has_only_label_values() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Mask(_grid().with_array(_empty().astype(np.int16)), (LIVER,))
    with pytest.raises(ValueError, match="not the index of a label"):
        Mask(_grid().with_array(_empty() + np.uint8(2)), (LIVER,))
