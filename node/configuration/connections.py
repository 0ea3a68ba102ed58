"""Changes of peers, sources and destinations, and of the node's own address, in a TOML text."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.configuration.toml_edit import TomlValue, remove_table, set_values, toml_text
from node.domain.connections.probe import ConnectionName, ConnectionTable
from node.domain.errors import Misconfigured, NodeError

# Names of the settings can be any text. In addresses and commands these need no quotation marks.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
LISTENER = ("listener",)
# The tables whose entries use a peer or a source, the name of an entry, and the key that names it.
_USERS = (
    ("destinations", "destination", "peer"),
    ("queries", "query", "source"),
    ("worklists", "worklist", "source"),
)


class UnknownConnection(NodeError):
    """The configuration has no such connection."""

    def __init__(self, connection: ConnectionName) -> None:
        super().__init__(f"the configuration has no {connection}; it may have been removed")


class NameNotPossible(NodeError):
    """A new connection cannot have this name."""


class ConnectionInUse(NodeError):
    """A connection cannot be removed as long as something uses it."""

    def __init__(self, users: Sequence[str]) -> None:
        super().__init__(f"{' and '.join(users)} use{'s' if len(users) == 1 else ''} it")


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of a proposed change: by the field of a form, and all others in full."""

    fields: Mapping[str, str]
    others: tuple[str, ...]


def table_values(text: str, path: tuple[str, ...]) -> dict[str, Any]:
    """Returns the values of a table as the text has them; empty if it has no such table."""
    table: Any = tomllib.loads(text)
    for part in path:
        table = table.get(part, {}) if isinstance(table, dict) else {}
    return dict(table) if isinstance(table, dict) else {}


def path_of(connection: ConnectionName) -> tuple[str, str]:
    """Returns the path of the connection's table in the text."""
    return connection.table.value, connection.name


def connection_values(text: str, connection: ConnectionName) -> dict[str, Any]:
    """Returns the settings of a connection as the text has them.

    Raises:
        UnknownConnection: the text has no such connection.
    """
    if connection.name not in table_values(text, (connection.table.value,)):
        raise UnknownConnection(connection)
    return table_values(text, path_of(connection))


def add_connection(
    text: str, connection: ConnectionName, values: Mapping[str, TomlValue | None]
) -> str:
    """Returns the text with a new connection.

    The defaults without any rule and destination are one rule and the archive folder. Where they
    apply, the text gets that rule, so that series are still processed, and the new destination
    receives the results.

    Raises:
        NameNotPossible: another connection of this table has the name, or it is no name.
        CannotEdit: the form of the text does not allow it.
    """
    if not _NAME.fullmatch(connection.name):
        raise NameNotPossible("use 1 to 64 letters, digits, hyphens and underscores")
    known = tomllib.loads(text)
    if connection.name in known.get(connection.table.value, {}):
        raise NameNotPossible(f"there is already a {str(connection.table)[:-1]} of this name")
    changed = set_values(text, path_of(connection), values)
    if changed == text:  # without a value; as a connection, it then lacks the settings it needs
        changed += f"\n[{connection.table.value}.{connection.name}]\n"
    has_defaults = "rules" not in known and "destinations" not in known
    if connection.table is ConnectionTable.DESTINATIONS and has_defaults:
        changed += _default_rule(connection.name)
    return changed


def change_connection(
    text: str, connection: ConnectionName, values: Mapping[str, TomlValue | None]
) -> str:
    """Returns the text with these settings of a connection changed; those with None are removed.

    Raises:
        UnknownConnection: the text has no such connection.
        CannotEdit: the form of the text does not allow it.
    """
    connection_values(text, connection)
    return set_values(text, path_of(connection), values)


def remove_connection(text: str, connection: ConnectionName) -> str:
    """Returns the text without the connection.

    Raises:
        UnknownConnection: the text has no such connection.
        ConnectionInUse: something uses it.
        CannotEdit: the form of the text does not allow it.
    """
    connection_values(text, connection)
    if users := users_of(text, connection):
        raise ConnectionInUse(users)
    return remove_table(text, path_of(connection))


def users_of(text: str, connection: ConnectionName) -> tuple[str, ...]:
    """Returns what uses the connection, in words, such as "the rule 'abdomen'"."""
    if connection.table is ConnectionTable.DESTINATIONS:
        rules = enumerate(tomllib.loads(text).get("rules", ()), 1)
        return tuple(
            f"the rule {rule.get('name', number)!r}"
            for number, rule in rules
            if connection.name in rule.get("destinations", ())
        )
    return tuple(
        f"the {singular} {name!r}"
        for table, singular, key in _USERS
        for name in table_values(text, (table,))
        if table_values(text, (table, name)).get(key) == connection.name
    )


def mistakes_of(error: Misconfigured, path: tuple[str, ...]) -> Mistakes:
    """Returns the mistakes, those of the table `path` by field."""
    prefix = ".".join(path) + "."
    fields: dict[str, str] = {}
    others = []
    for mistake in error.mistakes:
        if mistake.key.startswith(prefix):
            field = mistake.key.removeprefix(prefix).partition(".")[0]
            fields[field] = "; ".join(filter(None, (fields.get(field), mistake.message)))
        else:
            others.append(f"{mistake.key}: {mistake.message}" if mistake.key else str(mistake))
    return Mistakes(fields, tuple(others))


def _default_rule(destination: str) -> str:
    return (
        "\n# The rule that applies without any rule and destination.\n"
        '[[rules]]\nname = "liver"\nmodel = "liver-ct"\n'
        f"destinations = [{toml_text(destination)}]\n"
        "\n[rules.when]\nall = [\n"
        '  { attribute = "Modality", equals = "CT" },\n'
        '  { not = { attribute = "ImageType", matches = "^LOCALIZER$" } },\n]\n'
    )
