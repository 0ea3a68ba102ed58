"""Small trainings: networks learn, the seed decides everything, the best weights are kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.inference.predictor import Predictor
from models.networks.registry import ARCHITECTURES
from models.packaging import PackageOptions, from_run
from models.training.case_patches import CasePatches
from models.training.config import InvalidConfig, TrainConfig
from models.training.config_file import load_config
from models.training.history import read_history
from models.training.loop import BEST, CHECKPOINT, LAST, RunOptions, train
from tests.support.dicom.labelled_cases import UNET, write_cases, write_config

_NETWORKS = {
    "unet": UNET,
    "attention-unet": ("attention-unet", "{ channels = [4, 8] }"),
    "swin-unetr": (
        "swin-unetr",
        "{ feature_size = 12, depths = [1, 1, 1, 1], heads = [1, 1, 2, 2] }",
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_cases(folder)
    return folder


def _config(data: Path, **options: Any) -> TrainConfig:  # those of write_config
    return load_config(write_config(data / "config.toml", **options))


def _weights(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


def _equal(one: Path, other: Path) -> bool:
    first, second = _weights(one), _weights(other)
    return first.keys() == second.keys() and all(bool((first[k] == second[k]).all()) for k in first)


@pytest.mark.parametrize("name", list(_NETWORKS))
def test_every_network_learns_and_becomes_a_package(data: Path, tmp_path: Path, name: str) -> None:
    steps = 2 if name == "swin-unetr" else 24
    config = _config(data, steps=steps, network=_NETWORKS[name], every=steps)
    losses: list[float] = []
    run = tmp_path / "run"
    options = RunOptions(data, run, "cpu")
    result = train(config, options, lambda _done, _steps, loss: losses.append(loss))
    assert result.steps == len(losses) == steps
    assert np.isfinite(losses).all()
    if steps > 2:
        assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert result.best_score is not None
    assert (run / BEST).exists()
    spec = from_run(run, tmp_path / name, PackageOptions(name, "1.0.0", name))
    assert Predictor.load(spec, "cpu").spec.network.kind == name


def test_the_networks_above_are_all_there_are() -> None:
    assert set(_NETWORKS) == set(ARCHITECTURES)


@pytest.mark.parametrize("preset", ["original", "default"])
def test_every_preset_trains(data: Path, tmp_path: Path, preset: str) -> None:
    own = _config(data)
    path = data / f"{preset}.toml"
    # With the patch size of the preset, one step would take a minute.
    path.write_text(
        f'preset = "{preset}"\nsteps = 1\nbatch = 1\npatch = [65, 24, 24]\n'
        "[validation]\nevery = 1\npatch = [65, 0, 0]\n"
        '[[labels]]\nname = "Liver"\ntype = ["10200004", "SCT", "Liver"]\n'
        'display_rgb = [221, 130, 101]\n[[cases]]\nfolder = "cases"\n',
        encoding="utf-8",
    )
    config = load_config(path)
    assert config.labels == own.labels
    result = train(config, RunOptions(data, tmp_path / preset, "cpu"))
    assert result.best_score is not None


def test_one_seed_gives_the_same_weights_with_or_without_workers(
    data: Path, tmp_path: Path
) -> None:
    config = _config(data, steps=4, more="average = 0.9")
    for name, workers in (("one", 0), ("again", 0), ("with-workers", 1)):
        train(config, RunOptions(data, tmp_path / name, "cpu", workers))
    for name in ("again", "with-workers"):
        assert _equal(tmp_path / "one" / LAST, tmp_path / name / LAST)
    other = config.model_copy(update={"seed": 6})
    train(other, RunOptions(data, tmp_path / "other", "cpu"))
    assert not _equal(tmp_path / "one" / LAST, tmp_path / "other" / LAST)


def test_a_resumed_run_equals_one_without_interruption(data: Path, tmp_path: Path) -> None:
    schedule = '[schedule]\nname = "OneCycleLR"\n'
    path = write_config(data / "config.toml", steps=7, every=3, more="average = 0.9")
    text = path.read_text("utf-8").replace(
        "log_every = 2", "log_every = 3"
    )  # differs from save_every
    path.write_text(text + schedule, encoding="utf-8")
    config = load_config(path)
    train(config, RunOptions(data, tmp_path / "whole", "cpu"))

    class Interrupted(Exception):
        pass

    def interrupt(done: int, _steps: int, _loss: float) -> None:
        if done == 5:  # between the checkpoints after 4 and 6 steps
            raise Interrupted

    with pytest.raises(Interrupted):
        train(config, RunOptions(data, tmp_path / "interrupted", "cpu"), interrupt)
    assert torch.load(tmp_path / "interrupted" / CHECKPOINT, weights_only=True)["step"] == 4
    train(config, RunOptions(data, tmp_path / "interrupted", "cpu"))
    assert _equal(tmp_path / "whole" / LAST, tmp_path / "interrupted" / LAST)
    assert _equal(tmp_path / "whole" / BEST, tmp_path / "interrupted" / BEST)
    assert read_history(tmp_path / "whole") == read_history(tmp_path / "interrupted")


def test_the_best_weights_are_those_of_the_best_validation(data: Path, tmp_path: Path) -> None:
    scores: dict[int, float] = {}
    result = train(
        _config(data, steps=12, every=3),
        RunOptions(data, tmp_path, "cpu"),
        on_score=scores.__setitem__,
    )
    assert list(scores) == [3, 6, 9, 12]
    assert result.best_score == max(scores.values())
    assert result.best_step is not None
    assert scores[result.best_step] == result.best_score


def test_tensorboard_reads_the_curves(data: Path, tmp_path: Path) -> None:
    train(_config(data, steps=4, every=2), RunOptions(data, tmp_path, "cpu"))
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    assert {"training/loss", "training/rate", "validation/dice"} <= set(curves.Tags()["scalars"])
    assert [event.step for event in curves.Scalars("training/loss")] == [2, 4]


def test_epochs_are_counted_over_the_cases(data: Path, tmp_path: Path) -> None:
    path = write_config(data / "config.toml", steps=1, more="patches_per_case = 3")
    text = path.read_text("utf-8").replace("steps = 1", "epochs = 2")
    path.write_text(text, encoding="utf-8")
    # Two training cases, three patches of each, batches of two: three steps per epoch.
    assert train(load_config(path), RunOptions(data, tmp_path, "cpu")).steps == 6


def test_a_run_of_another_configuration_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    train(_config(data, steps=1), RunOptions(data, tmp_path, "cpu"))
    with pytest.raises(InvalidConfig, match="run of another configuration"):
        train(_config(data, steps=2), RunOptions(data, tmp_path, "cpu"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "AdamW"', 'name = "Adamant"', "torch.optim has no 'Adamant'"),
        ("lr = 3e-3", "speed = 3", "optimiser.arguments"),
        ('folder = "cases"', 'folder = "nowhere"', "nowhere is not a folder"),
        ('folder = "cases"', 'folder = "cases"\nlayout = "msd"', "dataset.json"),
    ],
)
def test_an_unusable_configuration_is_refused_with_the_reason(
    data: Path, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    path = write_config(data / "config.toml")
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InvalidConfig, match=expected):
        train(load_config(path), RunOptions(data, tmp_path, "cpu"))


def test_patches_contain_the_organ_and_align_with_its_classes(data: Path) -> None:
    config = _config(data)
    cases = config.cases[0].model_copy(update={"foreground": 1.0, "validation": 0.0})
    patches, held_out = CasePatches.load(cases, config, data, None)
    assert (len(patches), held_out) == (3, [])
    unaugmented = replace(
        patches, augmentation=patches.augmentation.model_copy(update={"chance": 0.0})
    )
    for seed in range(4):
        image, classes = unaugmented.draw(np.random.default_rng(seed))
        assert image.shape == classes.shape == (1, 16, 32, 32)
        # Portal venous liver is in the upper half of the window, air at its lower end.
        assert 0.5 < float(image[classes == 1].mean()) < 0.8
        augmented, classes = patches.draw(np.random.default_rng(seed))
        assert augmented.shape == (1, 16, 32, 32)
        assert bool((classes == 1).any())
        assert 0 <= float(augmented.min()) <= float(augmented.max()) <= 1


def test_some_cases_are_held_out_for_validation(data: Path) -> None:
    config = _config(data)
    patches, held_out = CasePatches.load(config.cases[0], config, data, None)
    assert (len(patches), len(held_out)) == (2, 1)
