"""Training, in the small: samples are believable, runs resume, weights become a package."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import nibabel
import numpy as np
import pytest
import torch

from models.networks import build
from models.phantom.tissues import Tissue
from models.predict import Predictor
from models.registry import find
from models.spec import InvalidPackage, ModelSpec
from models.training.anatomies import Anatomy, labelled_ct, phantom
from models.training.augment import Augmentation, Sampler
from models.training.chest import with_chest
from models.training.export import export
from models.training.starter import Knobs, Run
from tests.data import shared_data

_SHAPE = (32, 48, 48)
_TINY = {"channels": [2, 4], "residual_units": 1}


@pytest.fixture(scope="module")
def body() -> Anatomy:
    return phantom(3, spacing_mm=6.0)


def _sampler(how: Augmentation | None = None) -> Sampler:
    return Sampler(_SHAPE, 8.0, (-160.0, 240.0), Augmentation() if how is None else how)


def test_a_sample_is_normalised_and_holds_liver(body: Anatomy) -> None:
    found = []
    for seed in range(6):
        image, liver = _sampler().draw(body, np.random.default_rng(seed))
        assert image.shape == liver.shape == (1, *_SHAPE)
        assert image.dtype == torch.float32
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        assert bool(((liver == 0) | (liver == 1)).all())
        found.append(float(liver.mean()))
    assert max(found) > 0.02


def test_a_sample_is_the_same_for_the_same_draw(body: Anatomy) -> None:
    first, again = (_sampler().draw(body, np.random.default_rng(4))[0] for _ in range(2))
    assert bool((first == again).all())


def test_samples_are_never_mirrored(body: Anatomy) -> None:
    still = Augmentation(slab=0.0, round_view=0.0, shift_mm=(0.0, 0.0, 0.0), anywhere=0.0)
    for seed in range(5):
        _, liver = _sampler(still).draw(body, np.random.default_rng(seed))
        # The last axis runs from left to right, and the liver is on the right.
        assert float(liver[0].nonzero()[:, 2].float().mean()) > (_SHAPE[2] - 1) / 2


def test_a_chest_is_put_on_a_body_that_ends_in_the_liver() -> None:
    folder = shared_data() / "ct" / "totalsegmentator-example"
    names = json.loads((folder / "labels_all.json").read_text(encoding="utf-8"))
    body = labelled_ct(folder, {int(value): name for value, name in names.items()})
    liver_ml = body.liver.sum() * body.spacing_mm**3 / 1000
    assert liver_ml == pytest.approx(1123, abs=2)
    right = np.argwhere(body.liver)[:, 2].mean()
    assert right > (body.liver.shape[2] - 1) / 2
    whole = with_chest(body, np.random.default_rng(0))
    assert whole.tissues.shape == whole.detail.shape == whole.liver.shape
    top = whole.tissues[body.tissues.shape[0] :]
    assert 100 < whole.liver.sum() * body.spacing_mm**3 / 1000 - liver_ml < 900
    assert not whole.liver[-1].any()
    assert (top == Tissue.HEART).sum() * body.spacing_mm**3 / 1000 > 50
    assert (top == Tissue.LUNG).any()


def test_labels_that_are_not_known_stop_the_training(tmp_path: Path) -> None:
    for name in ("ct", "labels_all"):
        image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    with pytest.raises(ValueError, match="antenna"):
        labelled_ct(tmp_path, {1: "antenna"})


def test_a_run_resumes_where_it_was_left(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = replace(find("liver-ct"), network=replace(find("liver-ct").network, parameters=_TINY))
    images = torch.rand((1, 1, 8, 8, 8))
    truths = (images > 0.5).float()
    run = Run.new(spec, Knobs(steps=100), "cpu")
    run.step(images, truths)
    run.save(tmp_path, 1)
    resumed = Run.new(spec, Knobs(steps=100), "cpu")
    assert resumed.resume(tmp_path / "checkpoint.pt") == 1
    assert resumed.step(images, truths) == pytest.approx(run.step(images, truths))
    assert Run.new(spec, Knobs(steps=100), "cpu").resume(tmp_path / "absent.pt") == 0


def test_exported_weights_are_a_package(tmp_path: Path) -> None:
    package = _package(tmp_path)
    spec = ModelSpec.load(package / "model.toml")
    torch.save(build(spec.network, classes=2).state_dict(), tmp_path / "average.pt")
    made = export(tmp_path / "average.pt", package)
    assert made.weights_sha256 != spec.weights_sha256
    Predictor.load(made, device="cpu")


def test_weights_of_another_network_are_not_exported(tmp_path: Path) -> None:
    package = _package(tmp_path)
    before = (package / "weights.safetensors").read_bytes()
    torch.save({"strange": torch.zeros(1)}, tmp_path / "average.pt")
    with pytest.raises(InvalidPackage, match="does not fit the network"):
        export(tmp_path / "average.pt", package)
    assert (package / "weights.safetensors").read_bytes() == before


def _package(folder: Path) -> Path:
    return Path(copytree(find("liver-ct").weights.parent, folder / "liver-ct"))
