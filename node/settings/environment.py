"""Settings from environment variables: SEGNODE_LISTENER__PORT sets `port` of `[listener]`."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

from node.domain.errors import Misconfigured
from node.routing.attributes import suggestion
from node.routing.condition_parsing import KeyPath, Mistake
from node.settings.options import Settings
from node.settings.value_types import EnvironmentText, SitePath

_PREFIX = "SEGNODE_"
_NESTED_DELIMITER = "__"
# The command line names the file; the environment cannot. SEGNODE_CONFIG names the file for it.
_EXCLUDED = ("file", "config")


def environment_values() -> dict[str, Any]:
    """Returns the values that the environment sets, in the shape of the TOML file.

    SEGNODE_CATALOGUES holds several folders separated as in PATH.

    Raises:
        Misconfigured: the value of a whole section is not JSON.
    """
    values: dict[str, Any] = _marked(_read_environment()) if _has_variables() else {}
    catalogues = values.get("catalogues")
    if isinstance(catalogues, str):
        values["catalogues"] = [folder for folder in catalogues.split(os.pathsep) if folder]
    return {key: value for key, value in values.items() if key not in _EXCLUDED}


def _marked(value: Any) -> Any:
    """Returns the value with each text in it marked as one of the environment."""
    match value:
        case str():
            return EnvironmentText(value)
        case dict():
            return {key: _marked(inner) for key, inner in value.items()}
        case list():
            return [_marked(inner) for inner in value]
        case _:
            return value


def _has_variables() -> bool:
    return any(name.upper().startswith(_PREFIX) for name in os.environ)


def _read_environment() -> dict[str, Any]:
    # Imported here: it costs every command 50 ms, and few sites set a variable.
    from pydantic_settings import (
        BaseSettings,
        EnvSettingsSource,
        NoDecode,
        SettingsConfigDict,
        SettingsError,
    )

    class EnvironmentSettings(Settings, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=_PREFIX, env_nested_delimiter=_NESTED_DELIMITER
        )

        catalogues: Annotated[tuple[SitePath, ...], NoDecode] = ()

    try:
        return dict(EnvSettingsSource(EnvironmentSettings)())
    except SettingsError as error:
        message = f"{_PREFIX}... in the environment: {error} (the value is not JSON)"
        raise Misconfigured(message) from error


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with the values of `override`; tables are merged recursively."""
    merged = dict(base)
    for key, value in override.items():
        current = merged.get(key)
        if isinstance(current, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(current, value)
        else:
            merged[key] = value
    return merged


def unknown_variables() -> list[Mistake]:
    """Returns the variables with `__` that name no section.

    Other variables that start with SEGNODE_ are ignored: a container engine sets some for a
    service of that name.
    """
    mistakes: list[Mistake] = []
    for variable in sorted(os.environ):
        section, delimiter, _ = variable.removeprefix(_PREFIX).partition(_NESTED_DELIMITER)
        if not variable.startswith(_PREFIX) or not delimiter:
            continue
        known = [name.upper() for name in Settings.model_fields if name not in _EXCLUDED]
        if section.upper() not in known:
            mistakes.append(((variable,), f"unknown setting{suggestion(section, known)}"))
    return mistakes


def variable_for(path: KeyPath) -> str:
    """Returns the variable that sets the value at `path` or a table around it; empty if none does.

    The result has the spelling of the environment.
    """
    if str(path[0]).startswith(_PREFIX):
        return str(path[0])
    if path[0] in _EXCLUDED:
        return ""
    variables = {name.upper(): name for name in os.environ}
    for length in range(len(path), 0, -1):
        name = _PREFIX + _NESTED_DELIMITER.join(str(part) for part in path[:length]).upper()
        if name in variables:
            return variables[name]
    return ""
