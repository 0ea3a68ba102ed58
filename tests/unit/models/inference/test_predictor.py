"""The shipped starter model finds the liver of a phantom; a modified one is refused."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import torch

from models.devices import UnusableDevice, select_device
from models.inference.postprocessing import keep_largest, remove_small
from models.inference.predictor import Predictor, infer
from models.inference.window_agreement import WindowAgreement
from models.installed_packages import find
from models.manifest import InvalidPackage, NetworkSpec
from models.mask import Mask
from models.phantom import LIVER, Phantom, abdomen, paint
from tests.support.dicom.body import CORONAL, FEET_FIRST, Directions, grid, oblique

_SPACING_MM = (5.0, 3.0, 3.0)
_SHAPE = (60, 104, 128)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(find("liver-ct"), device="cpu")


def _dice(mask: Mask, phantom: Phantom) -> float:
    got, truth = mask.volume.array > 0, phantom.mask.volume.array > 0
    return float(2 * (got & truth).sum() / (got.sum() + truth.sum()))


@pytest.mark.parametrize("seed", [101, 102])  # the model was trained on 0 to 47
def test_the_liver_of_a_phantom_is_found(predictor: Predictor, seed: int) -> None:
    phantom = abdomen(seed, spacing_mm=_SPACING_MM, shape=_SHAPE)
    progress: list[float] = []
    mask = predictor.predict(phantom.volume, progress.append)
    assert mask.volume.geometry_equal(phantom.volume)
    assert _dice(mask, phantom) > 0.9
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


@pytest.mark.parametrize("directions", [CORONAL, FEET_FIRST, oblique()])
def test_the_liver_is_found_in_any_slice_orientation(
    predictor: Predictor, directions: Directions
) -> None:
    phantom = paint(
        grid(directions, slices=76, rows=76, columns=76, spacing_mm=(5.0, 5.0, 5.0)), seed=111
    )
    mask = predictor.predict(phantom.volume)
    assert mask.volume.geometry_equal(phantom.volume)
    assert _dice(mask, phantom) > 0.9


def test_no_liver_is_found_in_a_pelvis(predictor: Predictor) -> None:
    pelvis = abdomen(121, spacing_mm=_SPACING_MM, shape=(30, 104, 128), centre_mm=(0, 0, -260))
    mask = predictor.predict(pelvis.volume)
    assert not mask.volume.array.any()


def test_the_volume_is_not_modified(predictor: Predictor) -> None:
    phantom = abdomen(2, spacing_mm=(10.0, 6.0, 6.0), shape=(20, 50, 60))
    hu = phantom.volume.array.astype(np.float32)
    volume = phantom.volume.with_array(hu.copy())
    predictor.predict(volume)
    assert (volume.array == hu).all()


def test_a_volume_longer_than_the_patch_is_segmented_in_windows(predictor: Predictor) -> None:
    # The original recipe: 65 slices at a time, at any position in the body.
    image = torch.rand((1, 1, 161, 32, 32), generator=torch.Generator().manual_seed(0))
    spec = replace(predictor.spec, patch=(65, 0, 0))
    progress: list[float] = []
    with torch.inference_mode():
        scores = infer(predictor.network, image, spec, progress.append)
    assert scores.shape == (1, 2, 161, 32, 32)
    assert progress == [0.5, 1.0]  # four windows, two at a time


@pytest.mark.parametrize("length", [80, 100, 160])  # two, three, four windows
def test_windows_that_the_network_gets_together_have_the_scores_of_each(
    predictor: Predictor, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.rand((1, 1, length, 32, 48), generator=torch.Generator().manual_seed(1))
    together, alone = WindowAgreement(2), WindowAgreement(2)
    with torch.inference_mode():
        scores = infer(predictor.network, image, predictor.spec, agreement=together)
        monkeypatch.setattr("models.inference.predictor._BATCH_VOXELS", 0)
        expected = infer(predictor.network, image, predictor.spec, agreement=alone)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    labels = predictor.spec.labels
    assert together.dice(labels, 1e5) == pytest.approx(alone.dice(labels, 1e5), abs=1e-3)


def test_a_network_from_elsewhere_that_is_a_program_gets_one_window_at_a_time(
    predictor: Predictor,
) -> None:
    sizes: list[int] = []

    class OneAtATime(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            sizes.append(len(image))
            return torch.cat([image, -image], dim=1)

    spec = replace(predictor.spec, network=NetworkSpec("onnx", {}))
    infer(OneAtATime(), torch.rand((1, 1, 160, 8, 8)), spec)
    assert sizes == [1, 1, 1, 1]


def test_modified_weights_are_refused(tmp_path: Path) -> None:
    spec = find("liver-ct")
    content = bytearray(spec.weights.read_bytes())
    content[-1] ^= 1
    changed = tmp_path / "weights.safetensors"
    changed.write_bytes(content)
    with pytest.raises(InvalidPackage, match="not those of the manifest"):
        Predictor.load(replace(spec, weights=changed))


def test_missing_weights_and_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    spec = find("liver-ct")
    with pytest.raises(InvalidPackage, match="No such file"):
        Predictor.load(replace(spec, weights=tmp_path / "weights.safetensors"))
    other = NetworkSpec("unet", {"channels": [4, 8], "residual_units": 1})
    with pytest.raises(InvalidPackage, match="does not fit the network"):
        Predictor.load(replace(spec, network=other))
    with pytest.raises(InvalidPackage, match="no network 'vnet'; known: attention-unet"):
        Predictor.load(replace(spec, network=NetworkSpec("vnet", {})))


def test_the_largest_component_of_each_organ_is_kept() -> None:
    values = np.zeros((10, 10, 10), dtype=np.uint8)
    values[1:5, 1:5, 1:5] = 1
    values[8, 8, 8] = 1
    volume = hd.Volume(values, np.eye(4), coordinate_system="PATIENT")
    kept = keep_largest(Mask(volume, (LIVER,))).volume.array
    assert kept.sum() == 64
    assert not kept[8, 8, 8]


def test_an_organ_below_its_minimum_is_removed_and_the_others_stay() -> None:
    values = np.zeros((10, 10, 10), dtype=np.uint8)
    values[1:5, 1:5, 1:5] = 1
    values[4:8, 6:9, 6:9] = 2
    volume = hd.Volume(values, np.diag([10, 10, 10, 1]), coordinate_system="PATIENT")
    large = replace(LIVER, index=1, min_volume_ml=64.0)
    small = replace(LIVER, index=2, min_volume_ml=36.1)
    assert (remove_small(Mask(volume, (large, small))).volume.array == (values == 1)).all()
    assert values.max() == 2  # the given mask is unchanged


def test_an_empty_mask_stays_empty() -> None:
    empty = hd.Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4), coordinate_system="PATIENT")
    assert not keep_largest(Mask(empty, (LIVER,))).volume.array.any()


@pytest.mark.parametrize("name", ["no-such-device", "cpu:x", "cuda:77"])
def test_an_unavailable_device_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnusableDevice, match=name):
        select_device(name)


def test_a_name_that_is_not_a_device_lists_those_that_are() -> None:
    with pytest.raises(UnusableDevice, match='must be "auto", "cpu"'):
        select_device("gpu")
