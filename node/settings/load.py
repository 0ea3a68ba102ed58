"""Loading: merges file and environment, validates them, and reports every mistake at once."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.domain.errors import Misconfigured
from node.routing.attributes import closest_match
from node.routing.condition_parsing import KeyPath, Mistake
from node.routing.rule_parsing import default_rule, parse_rules
from node.settings.consistency import contradictions, unknown_references
from node.settings.destinations import FolderDestination
from node.settings.environment import environment_values, merge, unknown_variables, variable_for
from node.settings.error_messages import mistakes_from
from node.settings.location import (
    LOCATION_KEYS,
    is_in_database,
    location_values,
    revision_values,
    with_absolute_paths,
)
from node.settings.options import Settings
from node.settings.toml_source import TomlSource


def load_settings(file: Path | None) -> Settings:
    """Returns the settings of `file`, overridden by the environment (SEGNODE_LISTENER__PORT=...).

    Relative paths start from the file's folder, or without a file from the current folder. If
    neither rules nor destinations are set, `liver-ct` processes every CT, and the results go to
    the node's own archive folder.

    Raises:
        Misconfigured: lists every mistake on its own line, with file and line number.
    """
    settings, mistakes = load_valid_settings(file)
    if mistakes:
        raise Misconfigured.combined(mistakes)
    return settings


def load_valid_settings(file: Path | None) -> tuple[Settings, tuple[Misconfigured, ...]]:
    """Returns the settings without the tables and named entries that are wrong; every mistake.

    Raises:
        Misconfigured: the file cannot be read, or is not TOML.
    """
    source = None if file is None else TomlSource.read(file.resolve())
    values = merge({} if source is None else source.values, environment_values())
    origin = _Origin(source, source)
    settings, mistakes = _valid_settings(values, origin)
    return settings, _all_mistakes(mistakes, origin).mistakes if mistakes else ()


def load_location(file: Path | None) -> Settings:
    """Returns the settings of `file` and the environment that say where the host keeps its data.

    All others have their defaults, whatever the file says.

    Raises:
        Misconfigured: as `load_settings`.
    """
    return _location_of(None if file is None else TomlSource.read(file.resolve()))


def host_settings(file: Path | None) -> Settings:
    """Returns the settings that open the store: all of them where they are in the file.

    Raises:
        Misconfigured: the file has mistakes.
    """
    return load_location(file) if is_in_database(file) else load_settings(file)


def load_location_only(file: Path | None) -> Settings:
    """Returns what `load_location` does, also from a file whose tables are not valid TOML.

    Raises:
        Misconfigured: the location itself has mistakes.
    """
    return _location_of(None if file is None else TomlSource.read_before_tables(file.resolve()))


def _location_of(source: TomlSource | None) -> Settings:
    values = merge({} if source is None else source.values, environment_values())
    mistakes: list[Mistake] = []
    settings = _validate(location_values(values), mistakes)
    origin = _Origin(source, source)
    if mistakes:
        raise _all_mistakes(mistakes, origin)
    return with_absolute_paths(settings, origin.base).model_copy(update={"file": origin.file})


def load_revision(file: Path | None, text: str, name: str) -> Settings:
    """Returns the settings of a revision: the locations of `file`, everything else of `text`.

    The environment overrides both. Mistakes in the text name it as `name`. Relative paths start
    from the folder of `file`.

    Raises:
        Misconfigured: as `load_settings`.
    """
    host = None if file is None else TomlSource.read(file.resolve())
    revision = TomlSource.parse(text.encode("utf-8"), Path(name))
    misplaced: list[Mistake] = [
        ((key,), "belongs to each host: set it in the host's file, and remove it here")
        for key in location_values(revision.values)
    ]
    if misplaced:
        raise _all_mistakes(misplaced, _Origin(revision, revision))
    own = {} if host is None else location_values(host.values)
    values = merge(own | revision_values(revision.values), environment_values())
    return _settings_of(values, _Origin(host, revision))


@dataclass(frozen=True)
class _Origin:
    """Where values come from: those of the location from `host`, all others from `content`."""

    host: TomlSource | None
    content: TomlSource | None

    @property
    def base(self) -> Path:
        """The folder that relative paths start from."""
        return Path.cwd() if self.host is None else self.host.file.parent

    @property
    def file(self) -> Path | None:
        """The file that messages name."""
        return None if self.content is None else self.content.file

    def of(self, path: KeyPath) -> TomlSource | None:
        """The source of the value at `path`."""
        return self.host if path[0] in LOCATION_KEYS else self.content


# The tables with an entry for each name; a mistake in one entry says nothing about the others.
_NAMED_TABLES = ("peers", "sources", "queries", "worklists", "destinations")
# What a setting is compared with outside its table, by table and setting.
_COMPARED_WITH: dict[KeyPath, set[str]] = {
    ("web", "port"): {"listener"},
    ("web", "redirect_port"): {"listener"},
    ("listener", "tls_port"): {"web", "dicom_tls"},
    ("listener", "client_certificates"): {"dicom_tls"},
    ("peers", "certificate_name"): {"listener"},
    ("peers", "username"): {"listener"},
    ("access", "login"): {"web"},
    ("access", "addresses"): {"web"},
    ("access", "issuer"): {"web"},
    ("retention", "free_gib"): {"least_free_gib"},
    ("monitoring", "low_disk_gib"): {"least_free_gib"},
    ("database_password_env",): {"database_url"},
    ("database_password_file",): {"database_url"},
    ("store_access_key",): {"store_secret_key_env", "store_secret_key_file"},
    ("store_secret_key_env",): {"store_access_key", "store_url"},
    ("store_secret_key_file",): {"store_access_key", "store_url"},
}


def _settings_of(values: dict[str, Any], origin: _Origin) -> Settings:
    settings, mistakes = _valid_settings(values, origin)
    if mistakes:
        raise _all_mistakes(mistakes, origin)
    return settings


def _valid_settings(values: dict[str, Any], origin: _Origin) -> tuple[Settings, list[Mistake]]:
    base = origin.base
    mistakes = unknown_variables() + _unknown_references(values, base)
    settings = _validate({k: v for k, v in values.items() if k != "rules"}, mistakes)
    if "rules" in values:
        rules = parse_rules(values["rules"], settings.quiet_seconds, mistakes)
    else:
        rules = () if "destinations" in values else (default_rule(settings.quiet_seconds),)
    wrong = _unknown_values(values, mistakes)
    mistakes += [
        (path, message)
        for path, message in contradictions(settings, base)
        if wrong.isdisjoint({path[0], *_compared_with(path)})
    ]
    resolved = with_absolute_paths(settings, base)
    destinations = resolved.destinations
    if "rules" not in values and "destinations" not in values:
        archive = FolderDestination(
            kind="folder", path=resolved.data_dir / "archive", readable_by="owner"
        )
        destinations = {"archive": archive}
    update = {"file": origin.file, "rules": rules, "destinations": destinations}
    return resolved.model_copy(update=update), mistakes


def _unknown_references(values: dict[str, Any], base: Path) -> list[Mistake]:
    """Returns unknown names, without those that only follow from the misspelt name of a table."""
    meant = _meant(values)
    corrected = {meant.get(key) or key: value for key, value in values.items()}
    return [
        (path, message)
        for path, message in unknown_references(corrected, base)
        if path[0] not in meant.values()
    ]


def _meant(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Returns each misspelt setting or table at the top, with the one that is similar."""
    known = [key for key in Settings.model_fields if key not in values]
    return {key: closest_match(key, known) for key in values if key not in Settings.model_fields}


def _unknown_values(values: Mapping[str, Any], mistakes: Iterable[Mistake]) -> set[str]:
    """Returns the settings and tables at the top that are wrong, and those that are misspelt."""
    wrong = {str(path[0]) for path, _ in mistakes if path[0] not in _NAMED_TABLES}
    return wrong | {meant for meant in _meant(values).values() if meant is not None}


def _compared_with(path: KeyPath) -> set[str]:
    """Returns what the setting is compared with; where that is wrong, nothing follows from it."""
    ends = (path[0],) if len(path) == 1 else (path[0], path[-1])
    return _COMPARED_WITH.get(ends, set())


def _validate(values: dict[str, Any], mistakes: list[Mistake]) -> Settings:
    """Returns the settings without the rules; adds what is wrong in them to `mistakes`.

    What is wrong is left out together with the other settings of its table.
    """
    if "file" in values:
        mistakes.append((("file",), "is not a setting"))
    given = {key: value for key, value in values.items() if key != "file"}
    try:
        return Settings(**given)
    except ValidationError as error:
        found = mistakes_from(error)
    mistakes += found
    return Settings(**_without(given, (path for path, _ in found)))


def _without(values: Mapping[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    """Returns the values without the tables, or the entries of named tables, of these paths."""
    kept = dict(values)
    for path in paths:
        table = str(path[0])
        entries = kept.get(table)
        if table in _NAMED_TABLES and len(path) > 1 and isinstance(entries, Mapping):
            kept[table] = {name: entry for name, entry in entries.items() if name != path[1]}
        else:
            kept.pop(table, None)
    return kept


def _all_mistakes(mistakes: list[Mistake], origin: _Origin) -> Misconfigured:
    """Combines the mistakes: those of the environment first, then the file's in line order.

    Items of a list count from 1: `rules.1` is the first rule.
    """
    errors: list[Misconfigured] = []
    for path, message in mistakes:
        if variable := variable_for(path):
            errors.append(Misconfigured(message, key=variable))
        else:
            source = origin.of(path)
            file = None if source is None else source.file
            line = None if source is None else source.line(path)
            key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in path)
            errors.append(Misconfigured(message, file=file, line=line, key=key))
    return Misconfigured.combined(sorted(errors, key=lambda error: error.line or -math.inf))
