"""A training's configuration from its file, on top of a preset where it names one.

A key that is not known, or a value that makes no sense, is an error that names file and key.
"""

import json
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.training.config import InvalidConfig, TrainConfig


def presets() -> list[str]:
    """The recipes that come with segnode."""
    found = files("models.training").joinpath("presets").iterdir()
    return sorted(Path(entry.name).stem for entry in found if entry.name.endswith(".toml"))


def load_config(path: Path) -> TrainConfig:
    """Read a configuration; `preset = "NAME"` in it names what holds for all it does not say.

    Raises:
        InvalidConfig: it is missing, no TOML, or wrong; every wrong key is told.
    """
    return config_of(config_values(path), str(path))


def config_values(path: Path) -> dict[str, Any]:
    """The values of a configuration in TOML, or in JSON as a run keeps it.

    Raises:
        InvalidConfig: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidConfig(f"{path}: {error.strerror}") from error
    except ValueError as error:  # that of TOML, of JSON and of UTF-8
        raise InvalidConfig(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise InvalidConfig(f"{path} is no configuration")
    return values


def config_of(values: Mapping[str, Any], told_as: str) -> TrainConfig:
    """The configuration of these values, `preset` among them or not; `told_as` names them.

    Raises:
        InvalidConfig: see `load_config`.
    """
    own = dict(values)
    preset = own.pop("preset", None)
    if preset is not None:
        if preset not in presets():
            known = ", ".join(presets())
            raise InvalidConfig(f"{told_as}: there is no preset {preset!r}; known: {known}")
        text = files("models.training").joinpath("presets", f"{preset}.toml").read_text("utf-8")
        own = overlaid(tomllib.loads(text), own)
    try:
        return TrainConfig.model_validate(own)
    except ValidationError as error:
        told = "; ".join(_told(problem) for problem in error.errors())
        raise InvalidConfig(f"{told_as}: {told}") from error


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` in their place, table by table.

    `steps` and `epochs` take each other's place; a network of another kind, an optimiser or a
    schedule of another name takes nothing of what it replaces.
    """
    result = dict(below)
    if "steps" in above or "epochs" in above:
        result.pop("steps", None)
        result.pop("epochs", None)
    for key, value in above.items():
        old = result.get(key)
        result[key] = value
        if isinstance(value, Mapping) and isinstance(old, Mapping) and _same_kind(old, value):
            result[key] = overlaid(old, value)
    return result


def _same_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    return all(above.get(k, below.get(k)) == below.get(k) for k in ("kind", "name"))


def _told(problem: Any) -> str:  # pydantic's own TypedDict of details
    where = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "there is no such key"
    return f"{where}: {message}" if where else message
