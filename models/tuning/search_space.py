"""What may be turned, as data: a table of configuration keys with ranges or choices.

["optimiser.arguments.lr"]
low = 1e-4
high = 1e-2
log = true

["network.parameters.residual_units"]
choices = [1, 2]
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from optuna.trial import Trial
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from models.errors import ModelsError
from models.training.config_file import overlaid


class InvalidSearch(ModelsError):
    """A search space cannot be used; the message names the file and the key."""


class Knob(BaseModel):
    """A range from `low` to `high` (whole numbers where both are whole), or `choices`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        ranged = self.low is not None and self.high is not None
        if ranged == (self.choices is not None):
            raise ValueError("give low and high, or choices")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be less than high")
        if self.log and self.low is not None and self.low <= 0:
            raise ValueError("a range by orders of magnitude (log) begins above 0")
        return self

    def suggest(self, trial: Trial, key: str) -> Any:  # whatever the choices are
        """A value for this trial."""
        if self.choices is not None:
            # Optuna keeps plain values alone; by their JSON people know them again.
            names = [json.dumps(choice) for choice in self.choices]
            return json.loads(trial.suggest_categorical(key, names))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, float(self.low or 0), float(self.high or 0), log=self.log)


@dataclass(frozen=True)
class Search:
    """The knobs by the dotted key of the configuration that they turn."""

    knobs: Mapping[str, Knob]

    def suggest(self, trial: Trial, base: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration `base` with this trial's values in it."""
        values = dict(base)
        for key, knob in self.knobs.items():
            values = overlaid(values, _nested(key, knob.suggest(trial, key)))
        return values


def load_search(path: Path) -> Search:
    """Read a search space.

    Raises:
        InvalidSearch: it is missing, no TOML, or a knob makes no sense.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        knobs = TypeAdapter(dict[str, Knob]).validate_python(values)
    except OSError as error:
        raise InvalidSearch(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSearch(f"{path}: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, p['loc']))}: {p['msg'].removeprefix('Value error, ')}"
            for p in error.errors()
        )
        raise InvalidSearch(f"{path}: {told}") from error
    if not knobs:
        raise InvalidSearch(f"{path} names nothing to search")
    return Search(knobs)


def _nested(key: str, value: object) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: _nested(rest, value) if rest else value}
