"""The search space: a table of configuration keys with ranges or choices.

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
from models.training.config_file import merge_values
from models.validation_messages import describe


class InvalidSearchSpace(ModelsError):
    """A search space cannot be used; the message names the file and the key."""


class SearchParameter(BaseModel):
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
            raise ValueError("a logarithmic range (log) begins above 0")
        return self

    def suggest(self, trial: Trial, key: str) -> Any:  # whatever the choices are
        """Suggests a value for this trial."""
        if self.choices is not None:
            # Optuna stores only plain values; their JSON stays readable for people.
            names = [json.dumps(choice) for choice in self.choices]
            return json.loads(trial.suggest_categorical(key, names))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, float(self.low or 0), float(self.high or 0), log=self.log)


@dataclass(frozen=True)
class SearchSpace:
    """The search parameters, by the dotted key of the configuration."""

    parameters: Mapping[str, SearchParameter]

    def suggest(self, trial: Trial, base: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the configuration `base` with this trial's values."""
        values = dict(base)
        for key, parameter in self.parameters.items():
            values = merge_values(values, _nested(key, parameter.suggest(trial, key)))
        return values


def load_search_space(path: Path) -> SearchSpace:
    """Reads a search space.

    Raises:
        InvalidSearchSpace: the file is missing or not TOML, or a parameter is invalid.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        parameters = TypeAdapter(dict[str, SearchParameter]).validate_python(values)
    except OSError as error:
        raise InvalidSearchSpace(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSearchSpace(f"{path}: {error}") from error
    except ValidationError as error:
        raise InvalidSearchSpace(f"{path}: {describe(error)}") from error
    if not parameters:
        raise InvalidSearchSpace(f"{path} names nothing to search")
    return SearchSpace(parameters)


def _nested(key: str, value: object) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: _nested(rest, value) if rest else value}
