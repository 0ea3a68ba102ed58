"""Synthetic images: anatomies and the samples generated from them are plausible."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from models.phantom import Organ
from models.phantom.tissues import Tissue
from models.training.anatomy import (
    Anatomy,
    anatomy_without_organs,
    labelled_ct_anatomy,
    phantom_anatomy,
)
from models.training.config import BodiesConfig, GridConfig, InvalidConfig
from models.training.image_synthesis import ImageSynthesis, SynthesisOptions
from models.training.synthetic_chest import with_chest
from models.training.synthetic_samples import SyntheticSamples
from tests.support.shared_data import shared_data

_SHAPE = (32, 48, 48)
_ALL = tuple(organ for organ in Organ if organ)
_FIXED_VIEW = SynthesisOptions(slab=0.0, round_view=0.0, shift_mm=(0.0, 0.0, 0.0), anywhere=0.0)


@pytest.fixture(scope="module")
def body() -> Anatomy:
    return phantom_anatomy(3, spacing_mm=6.0)


def _synthesis(
    options: SynthesisOptions | None = None, organs: tuple[Organ, ...] = (Organ.LIVER,)
) -> ImageSynthesis:
    return ImageSynthesis(
        _SHAPE, 8.0, (-160.0, 240.0), organs, SynthesisOptions() if options is None else options
    )


def _labelled() -> Anatomy:
    folder = shared_data() / "ct" / "totalsegmentator-example"
    names = json.loads((folder / "labels_all.json").read_text(encoding="utf-8"))
    return labelled_ct_anatomy(folder, {int(value): name for value, name in names.items()})


def _ml(body: Anatomy, organ: Organ) -> float:
    return float((body.organs == organ).sum() * body.spacing_mm**3 / 1000)


def test_a_sample_is_normalised_and_contains_liver(body: Anatomy) -> None:
    liver_fractions = []
    for seed in range(6):
        image, liver = _synthesis().draw(body, np.random.default_rng(seed))
        assert image.shape == liver.shape == (1, *_SHAPE)
        assert image.dtype == torch.float32
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        assert liver.dtype == torch.uint8
        assert int(liver.max()) <= 1
        liver_fractions.append(float(liver.float().mean()))
    assert max(liver_fractions) > 0.02


def test_the_same_seed_gives_the_same_sample(body: Anatomy) -> None:
    first, again = (_synthesis().draw(body, np.random.default_rng(4))[0] for _ in range(2))
    assert bool((first == again).all())


def test_samples_are_never_mirrored(body: Anatomy) -> None:
    for seed in range(5):
        _, classes = _synthesis(_FIXED_VIEW, _ALL).draw(body, np.random.default_rng(seed))
        # The last axis runs from left to right: liver and right kidney lie on the right.
        position = {
            organ: float((classes[0] == organ).nonzero()[:, 2].float().mean())
            for organ in (Organ.LIVER, Organ.KIDNEY_RIGHT, Organ.KIDNEY_LEFT, Organ.SPLEEN)
        }
        assert position[Organ.LIVER] > (_SHAPE[2] - 1) / 2 > position[Organ.SPLEEN]
        assert position[Organ.KIDNEY_RIGHT] > position[Organ.KIDNEY_LEFT]


def test_the_edge_to_the_lung_lies_as_in_a_scan(body: Anatomy) -> None:
    options = SynthesisOptions(
        slab=0.0, round_view=0.0, anywhere=0.0, lesions=0.0, arms=0.0, table=0.0
    )
    edges = dark = 0
    for seed in range(4):
        image, classes = _synthesis(options).draw(body, np.random.default_rng(seed))
        level, liver = image[0], classes[0] == 1
        # The last liver voxels, two below air: half liver is half as bright, air clips to 0.
        edge = liver[:-2] & ~liver[1:-1] & (level[2:] < 0.02)
        edges += int(edge.sum())
        dark += int((edge & (level[:-2] < level[liver].median() / 2)).sum())
    assert edges > 100
    assert dark < 0.15 * edges


def test_classes_are_numbered_in_the_order_of_the_organs(body: Anatomy) -> None:
    one, other = (
        _synthesis(_FIXED_VIEW, organs).draw(body, np.random.default_rng(0))[1]
        for organs in ((Organ.LIVER, Organ.SPLEEN), (Organ.SPLEEN, Organ.LIVER))
    )
    assert bool(((one == 1) == (other == 2)).all())
    assert bool((one == 1).any())


def test_heads_and_test_cylinders_have_no_organ() -> None:
    for seed in range(2):
        other = anatomy_without_organs(seed, spacing_mm=8.0)
        assert (other.tissues != Tissue.AIR).any()
        image, classes = _synthesis(organs=_ALL).draw(other, np.random.default_rng(seed))
        assert not bool(classes.any())
        assert float(image.max()) > 0


def test_the_labelled_ct_has_nine_organs_and_gets_a_chest() -> None:
    body = _labelled()
    assert _ml(body, Organ.LIVER) == pytest.approx(1123, abs=2)
    for organ in _ALL:
        assert _ml(body, organ) > 15
    whole = with_chest(body, np.random.default_rng(0))
    assert whole.tissues.shape == whole.texture_hu.shape == whole.organs.shape
    top = whole.tissues[body.tissues.shape[0] :]
    assert 100 < _ml(whole, Organ.LIVER) - _ml(body, Organ.LIVER) < 900
    assert not (whole.organs[-1] == Organ.LIVER).any()
    assert (top == Tissue.MYOCARDIUM).sum() * body.spacing_mm**3 / 1000 > 50
    assert (top == Tissue.LUNG).any()
    assert _ml(whole, Organ.INFERIOR_VENA_CAVA) > _ml(body, Organ.INFERIOR_VENA_CAVA)


def test_an_unknown_label_name_is_refused(tmp_path: Path) -> None:
    for name in ("ct", "labels_all"):
        image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    with pytest.raises(ValueError, match="antenna"):
        labelled_ct_anatomy(tmp_path, {1: "antenna"})


@pytest.mark.parametrize(
    ("organs", "expected"), [(("liver",), "labels_all.json"), (("gills",), "there is no 'gills'")]
)
def test_unusable_bodies_are_refused_with_the_reason(
    tmp_path: Path, organs: tuple[str, ...], expected: str
) -> None:
    grid = GridConfig(spacing_mm=(4.0, 4.0, 4.0))
    with pytest.raises(InvalidConfig, match=expected):
        SyntheticSamples.load(BodiesConfig(organs=organs), tmp_path, grid, _SHAPE, seed=0)
