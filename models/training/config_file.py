"""Reads a training configuration from its file, merged over the preset that it names.

An unknown key or an invalid value is an error that names file and key.
"""

import json
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.training.config import InvalidConfig, TrainConfig
from models.validation_messages import describe


def preset_names() -> list[str]:
    """Returns the names of the presets that come with segnode."""
    found = files("models.training").joinpath("presets").iterdir()
    return sorted(Path(entry.name).stem for entry in found if entry.name.endswith(".toml"))


def load_config(path: Path) -> TrainConfig:
    """Reads a configuration; `preset = "NAME"` in it sets the keys that it leaves out.

    Raises:
        InvalidConfig: the file is missing, not TOML, or wrong; the message names every wrong key.
    """
    return parse_config(read_config_values(path), str(path))


def read_config_values(path: Path) -> dict[str, Any]:
    """Reads the values of a configuration in TOML, or in JSON as a run stores it.

    Raises:
        InvalidConfig: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidConfig(f"{path}: {error.strerror}") from error
    except ValueError as error:  # raised by TOML, JSON and UTF-8 decoding
        raise InvalidConfig(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise InvalidConfig(f"{path} is not a training configuration")
    return values


def parse_config(values: Mapping[str, Any], source: str) -> TrainConfig:
    """Builds a configuration from values that may name a `preset`; errors name `source`.

    Raises:
        InvalidConfig: see `load_config`.
    """
    own_values = dict(values)
    preset = own_values.pop("preset", None)
    if preset is not None:
        if preset not in preset_names():
            known = ", ".join(preset_names())
            raise InvalidConfig(f"{source}: there is no preset {preset!r}; known: {known}")
        text = files("models.training").joinpath("presets", f"{preset}.toml").read_text("utf-8")
        own_values = merge_values(tomllib.loads(text), own_values)
    try:
        return TrainConfig.model_validate(own_values)
    except ValidationError as error:
        raise InvalidConfig(f"{source}: {describe(error)}") from error


def merge_values(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with the values of `override`, merged table by table.

    `steps` and `epochs` replace each other. A network of another kind, and an optimiser or a
    schedule of another name, inherits nothing from the one that it replaces.
    """
    result = dict(base)
    if "steps" in override or "epochs" in override:
        result.pop("steps", None)
        result.pop("epochs", None)
    for key, value in override.items():
        old = result.get(key)
        result[key] = value
        if isinstance(value, Mapping) and isinstance(old, Mapping) and _is_same_type(old, value):
            result[key] = merge_values(old, value)
    return result


def _is_same_type(base: Mapping[str, Any], override: Mapping[str, Any]) -> bool:
    return all(override.get(k, base.get(k)) == base.get(k) for k in ("kind", "name"))
