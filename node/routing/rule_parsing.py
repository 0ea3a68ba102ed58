"""Parsing of the `[[rules]]` of a configuration, with every mistake in them; the default rule."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from node.domain.findings import DEFAULT_MIN_AGREEMENT, FindingKind
from node.domain.job import Priority
from node.domain.series import AcquisitionChoice
from node.routing.attributes import suggestion
from node.routing.condition_parsing import (
    InvalidCondition,
    KeyPath,
    Mistake,
    parse_condition,
)
from node.routing.conditions import All, Enabled, Equals, Matches, Not, RequestedByWorkItem
from node.routing.patterns import compile_pattern
from node.routing.rules import MAX_QUIET_SECONDS, Rule, overridden_choices

_KEYS = (
    "name",
    "model",
    "destinations",
    "quiet_seconds",
    "priority",
    "when",
    "mark_on",
    "hold_on",
    "min_agreement",
    "acquisitions",
    "only_for_work_items",
    "enabled",
    "shadow",
)
_SWITCHES = ("only_for_work_items", "enabled")


# Keys whose value is one of a few texts.
_CHOICES = {"priority": tuple(Priority), "acquisitions": tuple(AcquisitionChoice)}


def parse_rules(tables: Any, quiet_seconds: float, mistakes: list[Mistake]) -> tuple[Rule, ...]:
    """Returns the rules, or none after adding every mistake in them to `mistakes`.

    `quiet_seconds` is the default of rules that do not set it.
    """
    if not isinstance(tables, list):
        mistakes.append((("rules",), "rules are written as [[rules]], each with a name"))
        return ()
    found: list[Mistake] = []
    names: set[str] = set()
    for i, table in enumerate(tables):
        path: KeyPath = ("rules", i)
        found += _mistakes(table, path)
        name = table.get("name") if isinstance(table, Mapping) else None
        if isinstance(name, str):
            if name in names:
                found.append(((*path, "name"), f"there are two rules {name!r}"))
            names.add(name)
    mistakes += found
    if found:
        return ()
    rules = tuple(_rule(table, ("rules", i), quiet_seconds) for i, table in enumerate(tables))
    mistakes += _overridden(rules)
    return rules


def _overridden(rules: Sequence[Rule]) -> Iterator[Mistake]:
    """Yields the choices among acquisitions that never apply."""
    for i, earlier in overridden_choices(rules):
        message = (
            f"never applies: rule {earlier.name!r} comes first, matches every such series for the "
            "same model, and chooses otherwise"
        )
        yield ("rules", i, "acquisitions"), message


def _rule(table: Mapping[str, Any], path: KeyPath, quiet_seconds: float) -> Rule:
    when = parse_condition(table["when"], (*path, "when"))
    only_for_work_items = table.get("only_for_work_items", False)
    if only_for_work_items:
        when = All((RequestedByWorkItem(table["name"]), when))
    enabled = table.get("enabled", True)
    if not enabled:
        when = All((Enabled(), when))
    return Rule(
        name=table["name"],
        model=table["model"],
        destinations=tuple(table["destinations"]),
        when=when,
        quiet_seconds=float(table.get("quiet_seconds", quiet_seconds)),
        priority=Priority(table.get("priority", Priority.ROUTINE)),
        mark_on=frozenset(FindingKind(kind) for kind in table.get("mark_on", ())),
        hold_on=frozenset(FindingKind(kind) for kind in table.get("hold_on", ())),
        min_agreement=float(table.get("min_agreement", DEFAULT_MIN_AGREEMENT)),
        acquisitions=_choice(table.get("acquisitions")),
        only_for_work_items=only_for_work_items,
        enabled=enabled,
        shadow=table.get("shadow"),
    )


def _choice(name: str | None) -> AcquisitionChoice | None:
    return None if name is None else AcquisitionChoice(name)


def _mistakes(table: Any, path: KeyPath) -> Iterator[Mistake]:
    """Yields every mistake in one rule."""
    if not isinstance(table, Mapping):
        yield path, "a rule is a table with name, model, destinations and when"
        return
    for key in table:
        if key not in _KEYS:
            yield (*path, key), f"unknown setting of a rule{suggestion(key, _KEYS)}"
    for key in ("name", "model"):
        if not isinstance(table.get(key), str) or not table[key]:
            yield (*path, key), f"a rule needs a {key}, in quotation marks"
    yield from _destination_mistakes(table.get("destinations"), (*path, "destinations"))
    yield from _option_mistakes(table, path)
    for key in ("mark_on", "hold_on"):
        yield from _finding_mistakes(table.get(key, []), (*path, key))
    yield from _condition_mistakes(table, (*path, "when"))


def _option_mistakes(table: Mapping[str, Any], path: KeyPath) -> Iterator[Mistake]:
    """Yields the mistakes in settings that have a default."""
    shadow = table.get("shadow")
    if "shadow" in table and (not isinstance(shadow, str) or not shadow):
        yield (*path, "shadow"), 'must name a model with its version, such as "liver-ct@0.3.0"'
    if not _is_quiet_time(table.get("quiet_seconds", 1.0)):
        message = f"must be a number above 0 and up to {MAX_QUIET_SECONDS}"
        yield (*path, "quiet_seconds"), message
    if not _is_share(table.get("min_agreement", DEFAULT_MIN_AGREEMENT)):
        yield (*path, "min_agreement"), "must be a number from 0 to 1, such as 0.9"
    for key, choices in _CHOICES.items():
        if key in table and table[key] not in choices:
            known = " or ".join(f'"{choice}"' for choice in choices)
            yield (*path, key), f"must be {known}"
    for key in _SWITCHES:
        if not isinstance(table.get(key, False), bool):
            yield (*path, key), "must be true or false"


def _condition_mistakes(table: Mapping[str, Any], path: KeyPath) -> Iterator[Mistake]:
    if "when" not in table:
        yield path, 'a rule needs a when: when = { attribute = "Modality", equals = "CT" }'
        return
    try:
        parse_condition(table["when"], path)
    except InvalidCondition as error:
        yield from error.mistakes


def _destination_mistakes(names: Any, path: KeyPath) -> Iterator[Mistake]:
    if not isinstance(names, list) or not names:
        yield path, 'must be a list of at least one name, such as ["pacs"]'
        return
    for i, name in enumerate(names):
        if not isinstance(name, str):
            yield (*path, i), "must be the name of a destination"
        elif name in names[:i]:
            yield (*path, i), f"{name!r} is named twice"


def _finding_mistakes(kinds: Any, path: KeyPath) -> Iterator[Mistake]:
    known = [kind.value for kind in FindingKind]
    if not isinstance(kinds, list):
        yield path, f"must be a list of findings, such as [{known[0]!r}]"
        return
    for i, kind in enumerate(kinds):
        if kind not in known:
            hint = suggestion(str(kind), known) or f"; known: {', '.join(known)}"
            yield (*path, i), f"there is no finding {kind!r}{hint}"


def _is_quiet_time(value: Any) -> bool:
    return _is_number(value) and 0 < value <= MAX_QUIET_SECONDS


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def default_rule(quiet_seconds: float) -> Rule:
    """Returns the rule used without a configuration: every CT except localizers."""
    localizer = Matches("ImageType", compile_pattern("^LOCALIZER$"))
    when = All((Equals("Modality", "CT"), Not(localizer)))
    return Rule("liver", "liver-ct", ("archive",), when, quiet_seconds)
