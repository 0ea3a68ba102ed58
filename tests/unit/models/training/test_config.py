"""Training configurations: errors name every wrong key, and a preset sets the omitted keys."""

import json
from pathlib import Path

import pytest

from models.installed_packages import find
from models.networks.registry import build
from models.training.config import InvalidConfig, TrainConfig
from models.training.config_file import load_config, preset_names

_LABELS = """
[[labels]]
name = "Liver"
type = ["10200004", "SCT", "Liver"]
display_rgb = [221, 130, 101]

[[cases]]
folder = "cases"
"""
_CATALOGUE = Path(find("liver-ct").weights).parent.parent


def _config(folder: Path, text: str) -> TrainConfig:
    path = folder / "config.toml"
    path.write_text(text + _LABELS, encoding="utf-8")
    return load_config(path)


def test_the_original_preset_is_the_first_recipe(tmp_path: Path) -> None:
    config = _config(tmp_path, 'preset = "original"')
    assert config.patch[0] == 65
    assert (config.optimiser.name, config.optimiser.arguments) == ("Adam", {"lr": 1e-5})
    assert (config.epochs, config.batch) == (100, 16)
    assert (config.loss.dice, config.loss.cross_entropy) == (1.0, 1.0)
    assert config.loss.background_weight < 1


def test_the_default_preset_keeps_averaged_weights(tmp_path: Path) -> None:
    assert preset_names() == ["default", "original"]
    config = _config(tmp_path, 'preset = "default"\nsteps = 7')
    assert config.steps == 7
    assert config.average == 0.998


def test_a_configuration_overrides_its_preset(tmp_path: Path) -> None:
    config = _config(
        tmp_path,
        'preset = "default"\nepochs = 3\n[network]\nkind = "swin-unetr"\n'
        "parameters = { feature_size = 12 }\n[optimiser]\narguments = { lr = 1e-4 }\n",
    )
    assert (config.steps, config.epochs) == (None, 3)
    assert config.network.parameters == {"feature_size": 12}
    assert config.optimiser.arguments == {"lr": 1e-4, "weight_decay": 1e-4}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('preset = "default"\nbach = 2', "bach: there is no such key"),
        ('preset = "default"\n[optimiser]\nnam = "SGD"', "optimiser.nam: there is no such key"),
        ('preset = "best"', "there is no preset 'best'; known: default, original"),
        ('preset = "default"\nbatch = 0', "batch must be greater than or equal to 1"),
        ('preset = "default"\nsteps = 1\nepochs = 1', "one of steps and epochs"),
        ('preset = "default"\n[grid]\nhu_window = [5, 5]', "grid: hu_window must be"),
        ('preset = "default"\n[loss]\nclass_weights = [1.0]', "one for the background"),
        ("steps = ", "config.toml"),
    ],
)
def test_an_error_names_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        _config(tmp_path, text)
    assert expected in str(caught.value)
    assert str(tmp_path / "config.toml") in str(caught.value)


def test_a_configuration_stored_by_a_run_loads_unchanged(tmp_path: Path) -> None:
    config = _config(tmp_path, 'preset = "default"')
    kept = tmp_path / "config.json"
    kept.write_text(json.dumps(config.model_dump(mode="json")), encoding="utf-8")
    assert load_config(kept) == config


@pytest.mark.parametrize("name", ["liver-ct", "organs-ct"])
def test_the_configuration_of_a_shipped_package_matches_its_manifest(name: str) -> None:
    config = load_config(_CATALOGUE / name / "train.toml")
    package = find(name)
    assert config.organ_labels() == package.labels
    assert config.grid.spacing_mm == package.spacing_mm
    assert config.grid.hu_window == package.hu_window
    assert config.network_spec() == package.network
    build(config.network_spec(), config.classes)
