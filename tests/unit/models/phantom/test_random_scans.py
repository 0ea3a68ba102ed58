"""Random scans: the whole liver in abdomens, none in heads, pelves and lung apices."""

from collections.abc import Callable

import numpy as np
import pytest

from models.errors import ModelsError
from models.manifest import Code, Label
from models.phantom import Organ, Phantom, head, labelled_scan, lung_apex, pelvis, random_scan
from models.phantom.tissues import Tissue

_SEEDS = (1, 2)


def _label(index: int, name: str, code: str) -> Label:
    category = Code("91772007", "SCT", "Organ")
    return Label(index, name, category, Code(code, "SCT", name), (1, 2, 3))


@pytest.fixture(scope="module")
def scans() -> list[Phantom]:
    return [random_scan(seed) for seed in _SEEDS]


def test_a_random_scan_shows_a_whole_liver(scans: list[Phantom]) -> None:
    for scan in scans:
        liver = scan.mask.volume.array > 0
        assert 600 < liver.sum() * scan.volume.voxel_volume / 1000 < 2300
        for axis in range(3):
            profile = np.asarray(liver.any(axis=tuple({0, 1, 2} - {axis})))
            assert not profile[0]
            assert not profile[-1]


def test_random_scans_differ_in_grid_noise_and_contrast(scans: list[Phantom]) -> None:
    assert len({scan.volume.spatial_shape for scan in scans}) == len(scans)
    assert len({scan.volume.spacing for scan in scans}) == len(scans)
    aorta = [scan.volume.array[scan.tissues.array == Tissue.AORTA].mean() for scan in scans]
    assert max(aorta) - min(aorta) > 30
    noise = [scan.volume.array[scan.tissues.array == Tissue.MUSCLE].std() for scan in scans]
    assert max(noise) - min(noise) > 2


def test_the_same_seed_gives_the_same_scan(scans: list[Phantom]) -> None:
    again = random_scan(_SEEDS[0])
    assert (again.volume.array == scans[0].volume.array).all()
    assert np.array_equal(again.volume.affine, scans[0].volume.affine)


@pytest.mark.parametrize("scan_of", [head, lung_apex, pelvis])
def test_scans_outside_the_abdomen_show_a_body_without_liver(
    scan_of: Callable[[int], Phantom],
) -> None:
    for seed in _SEEDS:
        scan = scan_of(seed)
        assert not scan.mask.volume.array.any()
        assert not np.isin(scan.tissues.array, [Tissue.LIVER, Tissue.PORTAL_VEIN]).any()
        assert (scan.volume.array > 0).mean() > 0.02


def test_each_kidney_lies_on_its_side_of_the_patient(scans: list[Phantom]) -> None:
    for scan in scans:
        for organ, side in ((Organ.KIDNEY_RIGHT, -1), (Organ.KIDNEY_LEFT, 1)):
            voxels = np.argwhere(scan.organs.array == organ)
            assert len(voxels) > 100
            x = scan.organs.map_indices_to_reference(voxels)[:, 0]  # LPS: left is positive
            assert (x * side > 0).all()


def test_the_stomachs_gas_belongs_to_the_stomach(scans: list[Phantom]) -> None:
    for scan in scans:
        gas = scan.tissues.array == Tissue.STOMACH_GAS
        assert gas.any()
        assert (scan.organs.array[gas] == Organ.STOMACH).all()


def test_the_ground_truth_uses_the_labels_numbers(scans: list[Phantom]) -> None:
    labels = (_label(1, "Spleen", "78961009"), _label(2, "Liver", "10200004"))
    case = labelled_scan(_SEEDS[0], labels)
    spleen, liver = (case.truth.of(label) for label in labels)
    assert (liver == (scans[0].mask.volume.array > 0)).all()
    assert (spleen == (scans[0].organs.array == Organ.SPLEEN)).all()


def test_an_organ_that_phantoms_lack_is_refused() -> None:
    with pytest.raises(ModelsError, match="Brain"):
        labelled_scan(1, (_label(1, "Brain", "12738006"),))
