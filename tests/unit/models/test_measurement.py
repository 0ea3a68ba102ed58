"""Masks and their measurements."""

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from models.mask import Mask
from models.measurement import Measurement, liver_spleen_ratio, measure
from models.phantom import labelled_scan
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


def _measured(values: NDArray[np.uint8], hu: NDArray[np.int16] | None = None) -> Measurement:
    """The measurement of the liver, in a body of 40 HU."""
    hu = np.full(values.shape, 40, dtype=np.int16) if hu is None else hu
    return measure(_grid().with_array(hu), _mask(values))["Liver"]


def test_a_known_block_has_its_standard_deviation_and_extremes() -> None:
    values = _empty()
    values[2:4, 5:10, 5:10] = 1
    hu = np.full(values.shape, -1000, dtype=np.int16)
    hu[2, 5:10, 5:10], hu[3, 5:10, 5:10] = 100, 120
    found = _measured(values, hu)
    assert (found.sd_hu, found.min_hu, found.max_hu) == (10.0, 100.0, 120.0)
    assert (found.component_count, found.holes_ml) == (1, 0.0)
    assert not found.touches_field_of_view


def test_the_organs_of_a_phantom_have_the_values_of_their_known_masks() -> None:
    case = labelled_scan(500, (LIVER, SPLEEN))
    found = measure(case.volume, case.truth)
    for label in case.truth.labels:
        hu = case.volume.array[case.truth.volume.array == label.index].astype(np.float64)
        assert len(hu) > 0
        one = found[label.name]
        assert one.volume_ml == pytest.approx(len(hu) * np.prod(case.volume.spacing) / 1000)
        assert one.mean_hu == pytest.approx(hu.mean())
        assert one.sd_hu == pytest.approx(hu.std())
        assert (one.min_hu, one.max_hu) == (hu.min(), hu.max())


def test_parts_that_touch_at_a_corner_are_one_component() -> None:
    values = _empty()
    values[2:4, 2:10, 2:10] = 1
    values[4:6, 10:18, 10:18] = 1
    assert _measured(values).component_count == 1


def test_separate_parts_are_counted_and_specks_are_not() -> None:
    values = _empty()
    values[2:4, 2:8, 2:8] = 1  # 72 voxels, 1.44 mL
    values[2:4, 12:18, 12:18] = 1
    values[6, 2, 2] = 1  # 0.02 mL
    assert _measured(values).component_count == 2


def test_an_organ_of_specks_alone_has_one_component() -> None:
    values = _empty()
    values[2, 2, 2] = values[5, 9, 9] = 1
    assert _measured(values).component_count == 1


def test_enclosed_background_is_a_hole_and_does_not_count_in_the_volume() -> None:
    values = _empty()
    values[1:6, 4:14, 4:14] = 1
    values[2:5, 6:11, 6:11] = 0  # 75 voxels
    found = _measured(values)
    assert found.holes_ml == pytest.approx(1.5)
    assert found.volume_ml == pytest.approx((500 - 75) / 50)


def test_another_organ_that_is_enclosed_is_not_a_hole() -> None:
    values = _empty()
    values[1:6, 4:14, 4:14] = 1
    values[2:5, 6:11, 6:11] = 2
    assert _measured(values).holes_ml == 0.0


def test_a_cavity_that_opens_to_the_outside_is_not_a_hole() -> None:
    values = _empty()
    values[1:6, 4:14, 4:14] = 1
    values[2:6, 6:11, 6:11] = 0
    assert _measured(values).holes_ml == 0.0


@pytest.mark.parametrize(
    "edge", [np.s_[3, 0, 9], np.s_[3, -1, 9], np.s_[3, 9, 0], np.s_[3, 9, -1]], ids=str
)
def test_an_organ_at_the_edge_of_the_images_touches_the_field_of_view(
    edge: tuple[int, int, int],
) -> None:
    values = _empty()
    values[edge] = 1
    found = _measured(values)
    assert found.touches_field_of_view
    assert not found.cut_by_series


def test_an_organ_at_the_edge_of_the_reconstructed_circle_touches_the_field_of_view() -> None:
    values = _empty()
    row, column = np.ogrid[:20, :20]
    hu = np.full(values.shape, 40, dtype=np.int16)
    hu[:, (row - 9.5) ** 2 + (column - 9.5) ** 2 > 9.5**2] = -1024
    values[3, 4:6, 9] = 1
    assert not _measured(values, hu).touches_field_of_view
    values[3, :6, 9] = 1
    values[3, 0, 9] = 0  # the edge of the images is padding
    assert hu[3, 0, 9] == -1024
    assert hu[3, 1, 9] == 40
    assert _measured(values, hu).touches_field_of_view


def test_air_within_the_body_is_not_the_edge_of_the_field_of_view() -> None:
    values = _empty()
    values[3, 5:10, 5:10] = 1
    hu = np.full(values.shape, 40, dtype=np.int16)
    hu[:, 10, 10] = -1024
    assert not _measured(values, hu).touches_field_of_view


def _ratio(liver_hu: int, spleen_hu: int, *, min_volume_ml: float = 0.0) -> float | None:
    values = _empty()
    values[2:4, 2:8, 2:8], values[2:4, 12:18, 12:18] = 1, 2
    hu = np.where(values == 1, liver_hu, spleen_hu).astype(np.int16)
    labels = (LIVER, replace(SPLEEN, min_volume_ml=min_volume_ml))
    found = measure(_grid().with_array(hu), Mask(_grid().with_array(values), labels))
    return liver_spleen_ratio(found, labels)


def test_the_attenuation_of_the_liver_is_compared_with_that_of_the_spleen() -> None:
    assert _ratio(60, 50) == pytest.approx(1.2)
    assert _ratio(-5, 50) == pytest.approx(-0.1)


def test_there_is_no_ratio_without_a_spleen_or_with_one_of_no_positive_attenuation() -> None:
    assert _ratio(60, 50, min_volume_ml=100) is None
    assert _ratio(60, 0) is None
    assert liver_spleen_ratio({"Liver": _measured(_empty() + np.uint8(1))}, (LIVER,)) is None


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
