"""Settings from the environment: SEGNODE_LISTENER__PORT is `port` of `[listener]`."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic_settings import EnvSettingsSource, SettingsError

from node.domain.errors import Misconfigured
from node.routing.attributes import suggestion
from node.routing.rules import Mistake, Path
from node.settings.options import Settings

_PREFIX = "SEGNODE_"
# What the environment cannot set: the file is named on the command line.
_NOT_OURS = ("file",)


def environment_values() -> dict[str, Any]:
    """What the environment sets, as the file would; folders are parted as in PATH.

    Raises:
        Misconfigured: the value of a whole section is not JSON.
    """
    try:
        values = dict(EnvSettingsSource(Settings)())
    except SettingsError as error:
        raise Misconfigured(f"{_PREFIX}... in the environment: {error}: it is not JSON") from error
    catalogues = values.get("catalogues")
    if isinstance(catalogues, str):
        values["catalogues"] = [folder for folder in catalogues.split(os.pathsep) if folder]
    return {key: value for key, value in values.items() if key not in _NOT_OURS}


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below`, with the values of `above` in their place; tables are merged."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = laid_over(under, value)
        else:
            merged[key] = value
    return merged


def misspelt_variables() -> list[Mistake]:
    """Variables with `__` that name no section.

    Others that begin with SEGNODE_ are let be: a container engine sets some for a service of
    that name.
    """
    mistakes: list[Mistake] = []
    for variable in sorted(os.environ):
        section, parted, _ = variable.removeprefix(_PREFIX).partition("__")
        if not variable.startswith(_PREFIX) or not parted:
            continue
        known = [name.upper() for name in Settings.model_fields if name not in _NOT_OURS]
        if section.upper() not in known:
            mistakes.append(((variable,), f"unknown setting{suggestion(section, known)}"))
    return mistakes


def variable_of(path: Path) -> str:
    """The variable that has set the value at `path`, or what is around it; empty without one."""
    if str(path[0]).startswith(_PREFIX):
        return str(path[0])
    set_here = {name.upper(): name for name in os.environ}
    for length in range(len(path), 0, -1):
        name = _PREFIX + "__".join(str(part) for part in path[:length]).upper()
        if name in set_here:
            return set_here[name]
    return ""
