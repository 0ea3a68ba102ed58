"""From a file and the environment to settings, or to all that is wrong with them."""

import math
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.domain.errors import Misconfigured
from node.routing.conditions import All, Equals, Matches, Not
from node.routing.rule_parsing import read_rules
from node.routing.rules import Mistake, Rule
from node.settings.consistency import broken_references, contradictions
from node.settings.environment import (
    environment_values,
    laid_over,
    misspelt_variables,
    variable_of,
)
from node.settings.error_messages import in_words
from node.settings.options import FolderDestination, Settings
from node.settings.toml_source import TomlSource


def load_settings(file: Path | None) -> Settings:
    """The settings of `file`, over which the environment stands (SEGNODE_LISTENER__PORT=...).

    Relative paths start from the file's folder, or without one from the current folder. Where
    neither rules nor destinations are set, every CT goes by `liver-ct` to an archive of our own.

    Raises:
        Misconfigured: with every mistake, each on a line of its own with its file and line.
    """
    source = None if file is None else TomlSource.read(file.resolve())
    base = Path.cwd() if source is None else source.file.parent
    from_file = {} if source is None else source.values
    values = laid_over(from_file, environment_values())
    mistakes = misspelt_variables() + list(broken_references(values, base))
    settings = _settings({k: v for k, v in values.items() if k != "rules"}, mistakes)
    if "rules" in values:
        rules = read_rules(values["rules"], settings.quiet_seconds, mistakes)
    else:
        rules = () if "destinations" in values else (_embedded_rule(settings.quiet_seconds),)
    mistakes += contradictions(settings)
    if mistakes:
        raise _told(mistakes, source)
    placed = _placed(settings, base)
    destinations = placed.destinations
    if "rules" not in values and "destinations" not in values:
        archive = FolderDestination(kind="folder", path=placed.data_dir / "archive")
        destinations = {"archive": archive}
    found = None if source is None else source.file
    update = {"file": found, "rules": rules, "destinations": destinations}
    return placed.model_copy(update=update)


def _settings(values: dict[str, Any], mistakes: list[Mistake]) -> Settings:
    """The settings but for the rules; in the place of wrong ones, which are told, the defaults."""
    if "file" in values:
        mistakes.append((("file",), "is no setting"))
    try:
        return Settings(**{k: v for k, v in values.items() if k != "file"})
    except ValidationError as error:
        mistakes += [in_words(detail) for detail in error.errors()]
        return Settings()


def _embedded_rule(quiet_seconds: float) -> Rule:
    """Without a configuration: every CT that is no localizer."""
    localizer = Matches("ImageType", re.compile("^LOCALIZER$"))
    when = All((Equals("Modality", "CT"), Not(localizer)))
    return Rule("liver", "liver-ct", ("archive",), when, quiet_seconds)


def _placed(settings: Settings, base: Path) -> Settings:
    """With absolute paths, and the database where it is by default."""
    data_dir = base / settings.data_dir
    update = {
        "data_dir": data_dir,
        "database_url": settings.database_url or f"sqlite:///{data_dir / 'segnode.db'}",
        "catalogues": tuple(base / folder for folder in settings.catalogues),
        "destinations": {
            name: destination.model_copy(update={"path": base / destination.path})
            if isinstance(destination, FolderDestination)
            else destination
            for name, destination in settings.destinations.items()
        },
    }
    return settings.model_copy(update=update)


def _told(mistakes: list[Mistake], source: TomlSource | None) -> Misconfigured:
    """All mistakes as one error: those of the environment, then the file's by their lines."""
    errors: list[Misconfigured] = []
    for path, message in mistakes:
        if variable := variable_of(path):
            errors.append(Misconfigured(message, key=variable))
        else:
            file = None if source is None else source.file
            line = None if source is None else source.line(path)
            key = ".".join(str(part) for part in path)
            errors.append(Misconfigured(message, file=file, line=line, key=key))
    return Misconfigured.several(sorted(errors, key=lambda error: error.line or -math.inf))
