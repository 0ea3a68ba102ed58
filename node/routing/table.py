"""The `[[rules]]` of a configuration, with every mistake in them."""

from collections.abc import Mapping
from typing import Any

from node.routing.rules import InvalidCondition, Path, Rule, read_condition, suggestion

Mistake = tuple[Path, str]  # where, what

_KEYS = ("name", "model", "destinations", "quiet_seconds", "when")


def read_rules(tables: Any, quiet_seconds: Any, mistakes: list[Mistake]) -> tuple[Rule, ...]:
    """The rules that can be understood; what cannot is added to `mistakes`.

    `quiet_seconds` holds for the rules that set none.
    """
    if not isinstance(tables, list):
        mistakes.append((("rules",), "rules are written as [[rules]], each with a name"))
        return ()
    rules: list[Rule] = []
    for i, table in enumerate(tables):
        path: Path = ("rules", i)
        found = _mistakes(table, path)
        name = table.get("name") if isinstance(table, Mapping) else None
        if name in [rule.name for rule in rules]:
            found.append(((*path, "name"), f"there are two rules {name!r}"))
        mistakes.extend(found)
        if not found:
            rules.append(_rule(table, path, quiet_seconds))
    # With one rule left out, the others' numbers would no longer be those of the file.
    return tuple(rules) if len(rules) == len(tables) else ()


def _rule(table: Mapping[str, Any], path: Path, quiet_seconds: Any) -> Rule:
    return Rule(
        name=table["name"],
        model=table["model"],
        destinations=tuple(table["destinations"]),
        when=read_condition(table["when"], (*path, "when")),
        quiet_seconds=float(table.get("quiet_seconds", quiet_seconds)),
    )


def _mistakes(table: Any, path: Path) -> list[Mistake]:
    """What is wrong with one rule."""
    if not isinstance(table, Mapping):
        return [(path, "a rule is a table with name, model, destinations and when")]
    found: list[Mistake] = [
        ((*path, key), f"unknown setting of a rule{suggestion(key, _KEYS)}")
        for key in table
        if key not in _KEYS
    ]
    found += [
        ((*path, key), f"a rule needs a {key}, a text")
        for key in ("name", "model")
        if not isinstance(table.get(key), str) or not table[key]
    ]
    destinations = table.get("destinations")
    if not isinstance(destinations, list) or not destinations:
        found.append(((*path, "destinations"), 'must be a list of names, such as ["pacs"]'))
    elif not all(isinstance(name, str) for name in destinations):
        found.append(((*path, "destinations"), "must be a list of names"))
    quiet = table.get("quiet_seconds", 1.0)
    if not isinstance(quiet, int | float) or isinstance(quiet, bool) or quiet <= 0:
        found.append(((*path, "quiet_seconds"), "must be a number above 0"))
    try:
        read_condition(table.get("when"), (*path, "when"))
    except InvalidCondition as error:
        found.append((error.path, str(error)))
    return found
