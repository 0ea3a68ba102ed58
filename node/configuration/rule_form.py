"""A rule as the fields of a form: read from the lines that define it, and written back.

A form has one list of simple conditions that must all hold. A rule with other combinations keeps
them: its conditions are edited as text.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from node.configuration.toml_edit import TomlValue, remove_table, set_values, toml_text

_HEADER = "[[rules]]"
_LIST_HEADER = re.compile(r"(?m)^\s*\[\[\s*rules\s*\]\]")
_TABLE_HEADER = re.compile(r"(?m)^\[rules\]")
_PATH = ("rules",)
_WHEN = ("rules", "when")


class Comparison(StrEnum):
    """What a simple condition tests; the values are the keys in TOML."""

    EQUALS = "equals"
    ONE_OF = "one_of"
    RANGE = "range"
    MATCHES = "matches"
    AT_LEAST_SLICES = "at_least_slices"
    FROM_AE = "from_ae"

    @property
    def needs_attribute(self) -> bool:
        """Whether it tests an attribute of the images."""
        return self not in {Comparison.AT_LEAST_SLICES, Comparison.FROM_AE}

    @property
    def is_list(self) -> bool:
        """Whether its value is a list, with commas between the items."""
        return self in {Comparison.ONE_OF, Comparison.RANGE, Comparison.FROM_AE}


@dataclass(frozen=True)
class ConditionRow:
    """A simple condition; `value` is a text, with commas between the items of a list."""

    test: Comparison
    value: str
    attribute: str = ""
    negated: bool = False

    def to_toml(self) -> str:
        """Returns the condition as a table in braces."""
        pairs = [f"attribute = {toml_text(self.attribute)}"] if self.test.needs_attribute else []
        pairs.append(f"{self.test} = {self._value()}")
        table = f"{{ {', '.join(pairs)} }}"
        return f"{{ not = {table} }}" if self.negated else table

    def _value(self) -> str:
        if self.test in {Comparison.RANGE, Comparison.AT_LEAST_SLICES}:
            numbers = [_number(item) for item in re.split(r",|\bto\b", self.value)]
            return f"[{', '.join(numbers)}]" if self.test is Comparison.RANGE else numbers[0]
        if self.test.is_list:
            return toml_text([item.strip() for item in self.value.split(",") if item.strip()])
        return toml_text(self.value)


@dataclass(frozen=True)
class RuleForm:
    """The fields; an empty text leaves a setting out, so that its default applies.

    `conditions` is None if the rule's conditions do not fit into one list.
    """

    name: str = ""
    model: str = ""
    destinations: tuple[str, ...] = ()
    enabled: bool = True
    quiet_seconds: str = ""
    priority: str = ""
    acquisitions: str = ""
    shadow: str = ""
    mark_on: tuple[str, ...] = ()
    hold_on: tuple[str, ...] = ()
    conditions: tuple[ConditionRow, ...] | None = ()


def read_form(block: str) -> RuleForm:
    """Returns the fields of the rule that the lines define.

    Raises:
        ValueError: the lines are not valid TOML, or not those of one rule.
    """
    values = tomllib.loads(block)
    rules = values.get("rules")
    if list(values) != ["rules"] or not isinstance(rules, list) or len(rules) != 1:
        raise ValueError(f"the text must be one rule, which begins with {_HEADER}")
    rule = rules[0]
    return RuleForm(
        name=_text(rule.get("name")),
        model=_text(rule.get("model")),
        destinations=_texts(rule.get("destinations")),
        enabled=rule.get("enabled") is not False,
        quiet_seconds=_text(rule.get("quiet_seconds")),
        priority=_text(rule.get("priority")),
        acquisitions=_text(rule.get("acquisitions")),
        shadow=_text(rule.get("shadow")),
        mark_on=_texts(rule.get("mark_on")),
        hold_on=_texts(rule.get("hold_on")),
        conditions=_rows(rule.get("when")),
    )


def write_form(block: str, form: RuleForm) -> str:
    """Returns the lines of the rule with the fields of the form; what it has not stays as it is.

    Raises:
        CannotEdit: the lines have a form that cannot be changed here.
        ValueError: as `read_form`.
    """
    before = read_form(block)
    values: dict[str, TomlValue | None] = {}
    for key in _KEYS:
        new = getattr(form, key)
        if new != getattr(before, key):
            is_left_out = not new and key not in _REQUIRED
            values[key] = None if is_left_out else _toml_value(key, new)
    if before.enabled != form.enabled:
        values["enabled"] = None if form.enabled else False
    # One table is edited like any other; a list of tables is not.
    text = set_values(_LIST_HEADER.sub("[rules]", block, count=1), _PATH, values)
    if form.conditions is not None and form.conditions != before.conditions:
        text = _with_conditions(text, form.conditions)
    return _TABLE_HEADER.sub(_HEADER, text, count=1)


def new_rule(model: str, destination: str) -> str:
    """Returns the lines of a new rule for CT."""
    form = RuleForm(
        name="new rule",
        model=model,
        destinations=(destination,) if destination else (),
        conditions=(
            ConditionRow(Comparison.EQUALS, "CT", "Modality"),
            ConditionRow(Comparison.MATCHES, "^LOCALIZER$", "ImageType", negated=True),
            ConditionRow(Comparison.AT_LEAST_SLICES, "20"),
        ),
    )
    return write_form(f"{_HEADER}\n", form)


_REQUIRED = ("name", "model", "destinations")
_KEYS = (*_REQUIRED, "quiet_seconds", "priority", "acquisitions", "shadow", "mark_on", "hold_on")


def _toml_value(key: str, value: str | tuple[str, ...]) -> TomlValue:
    if key != "quiet_seconds" or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value  # the check of the text says what is wrong


def _with_conditions(text: str, rows: Sequence[ConditionRow]) -> str:
    if "when" in tomllib.loads(text)["rules"]:
        text = remove_table(text, _WHEN)
    lines = "".join(f"  {row.to_toml()},\n" for row in rows)
    return f"{text.rstrip()}\n\n[rules.when]\nall = [\n{lines}]\n"


def _rows(when: Any) -> tuple[ConditionRow, ...] | None:
    """Returns simple conditions that must all hold; None if the condition is another one."""
    if not isinstance(when, Mapping):
        return ()
    listed = when["all"] if list(when) == ["all"] and isinstance(when["all"], list) else [when]
    rows = [_row(table) for table in listed]
    return None if None in rows else tuple(row for row in rows if row is not None)


def _row(table: Any) -> ConditionRow | None:
    if isinstance(table, Mapping) and list(table) == ["not"]:
        inner = _row(table["not"])
        return None if inner is None or inner.negated else replace(inner, negated=True)
    tests = [key for key in table if key != "attribute"] if isinstance(table, Mapping) else []
    if len(tests) != 1 or tests[0] not in list(Comparison):
        return None
    test, value = Comparison(tests[0]), table[tests[0]]
    attribute = table.get("attribute", "")
    if test.needs_attribute != ("attribute" in table) or not isinstance(attribute, str):
        return None
    items = value if isinstance(value, list) else [value]
    texts = [_text(item) for item in items]
    if test.is_list != isinstance(value, list) or any(
        "," in text for text in texts if test.is_list
    ):
        return None
    return ConditionRow(test, ", ".join(texts), attribute)


def _number(text: str) -> str:
    """Returns a number as it is in TOML; another text in quotation marks, for the check to name."""
    stripped = text.strip()
    try:
        tomllib.loads(f"x = {stripped}")
        float(stripped)
    except ValueError:
        return toml_text(stripped)
    return stripped


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_text(value) for value in values) if isinstance(values, list) else ()
