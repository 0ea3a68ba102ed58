"""Rules: which series goes to which model, and the result to which destinations."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.domain.job import Priority
from node.routing.attributes import (
    finite,
    has_order,
    is_number,
    mistake_in,
    parts_at_backslash,
    suggestion,
)
from node.routing.conditions import (
    All,
    AnyOf,
    AtLeastSlices,
    Condition,
    Equals,
    FromAe,
    InRange,
    Matches,
    Not,
    OneOf,
)

# A day: a scanner that pauses for longer has begun something new.
LONGEST_QUIET_SECONDS = 86400
Path = tuple[str | int, ...]
Mistake = tuple[Path, str]  # where, what


@dataclass(frozen=True)
class Rule:
    """A series that fulfils `when` is processed by `model`; the result goes to `destinations`."""

    name: str
    model: str
    destinations: tuple[str, ...]
    when: Condition
    quiet_seconds: float
    priority: Priority = Priority.ROUTINE


class InvalidCondition(Exception):
    """A condition cannot be understood; `mistakes` are all that is wrong with it."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(message for _, message in mistakes))
        self.mistakes = mistakes


def read_condition(table: Any, path: Path) -> Condition:
    """The condition that a TOML table sets down; `path` is where it stands.

    Several conditions in one table must all hold.

    Raises:
        InvalidCondition: anything in it is not understood, or could never hold.
    """
    if not isinstance(table, Mapping) or not table:
        raise InvalidCondition((path, "a condition is a table such as { at_least_slices = 20 }"))
    mistakes = list(_attribute_mistakes(table, path))
    conditions: list[Condition] = []
    for key, value in table.items():
        try:
            if key != "attribute":
                conditions.append(_read(key, value, table.get("attribute"), (*path, key)))
        except InvalidCondition as error:
            mistakes += error.mistakes
    if mistakes:
        raise InvalidCondition(*mistakes)
    return conditions[0] if len(conditions) == 1 else All(tuple(conditions))


def _attribute_mistakes(table: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    if "attribute" not in table:
        return
    attribute, here = table["attribute"], (*path, "attribute")
    if message := mistake_in(attribute):
        yield here, message
    elif not any(key in _ON_ATTRIBUTE for key in table) and all(
        key == "attribute" or key in _PLAIN for key in table
    ):
        kinds = ", ".join(_ON_ATTRIBUTE)
        yield here, f"nothing is asked of {attribute}; add one of {kinds}"


def _read(key: str, value: Any, attribute: Any, path: Path) -> Condition:
    if key in _PLAIN:
        return _PLAIN[key](value, path)
    if key not in _ON_ATTRIBUTE:
        raise InvalidCondition((path, f"unknown condition{suggestion(key, CONDITION_KINDS)}"))
    if attribute is None:
        raise InvalidCondition((path, 'needs an attribute, such as attribute = "Modality"'))
    return _ON_ATTRIBUTE[key](str(attribute), value, path)


def _scalar(value: Any, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidCondition((path, "must be a text or a number"))
    if not str(value).strip():
        raise InvalidCondition((path, "is empty, and no value is"))
    return str(value).strip()


def _sought(attribute: str, value: Any, path: Path) -> str:
    """A value that the attribute could have."""
    text = _scalar(value, path)
    if "\\" in text and parts_at_backslash(attribute):
        one = text.rpartition("\\")[2]
        told = f"values are compared one by one; name one of them, such as {one!r}"
        raise InvalidCondition((path, told))
    if is_number(attribute) and finite(text) is None:
        raise InvalidCondition((path, f"{attribute} is a number, which {text!r} is not"))
    return text


def _items(value: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    if not isinstance(value, list) or not value:
        raise InvalidCondition((path, 'must be a list that is not empty, such as ["A", "B"]'))
    return ((item, (*path, i)) for i, item in enumerate(value))


def _range(attribute: str, value: Any, path: Path) -> Condition:
    numbers = [_bound(v) for v in value] if isinstance(value, list) else []
    if len(numbers) != 2 or any(map(math.isnan, numbers)):
        raise InvalidCondition((path, "must be two numbers, such as [0.5, 5.0]"))
    low, high = numbers
    if low > high:
        raise InvalidCondition((path, f"the lower end {low:g} lies above the upper end {high:g}"))
    if not mistake_in(attribute) and not has_order(attribute):
        told = f"{attribute} is a text, no number; use equals, one_of or matches"
        raise InvalidCondition((path, told))
    return InRange(attribute, low, high)


def _bound(value: Any) -> float:
    """One end of a range, `inf` for an open one; not-a-number for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _matches(attribute: str, value: Any, path: Path) -> Condition:
    if not isinstance(value, str):
        raise InvalidCondition((path, "must be a regular expression"))
    try:
        return Matches(attribute, re.compile(value))
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidCondition((path, f"is no regular expression: {error}")) from error


def _at_least_slices(value: Any, path: Path) -> Condition:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidCondition((path, "must be a whole number from 1"))
    return AtLeastSlices(value)


def _several(value: Any, path: Path) -> tuple[Condition, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidCondition((path, "must be a list of conditions that is not empty"))
    conditions: list[Condition] = []
    mistakes: list[Mistake] = []
    for i, table in enumerate(value):
        try:
            conditions.append(read_condition(table, (*path, i)))
        except InvalidCondition as error:
            mistakes += error.mistakes
    if mistakes:
        raise InvalidCondition(*mistakes)
    return tuple(conditions)


# The table of kinds: key in TOML -> how its value becomes a condition.
_ON_ATTRIBUTE: dict[str, Callable[[str, Any, Path], Condition]] = {
    "equals": lambda attribute, value, path: Equals(attribute, _sought(attribute, value, path)),
    "one_of": lambda attribute, value, path: OneOf(
        attribute, tuple(_sought(attribute, v, p) for v, p in _items(value, path))
    ),
    "range": _range,
    "matches": _matches,
}
_PLAIN: dict[str, Callable[[Any, Path], Condition]] = {
    "at_least_slices": _at_least_slices,
    "from_ae": lambda value, path: FromAe(tuple(_scalar(v, p) for v, p in _items(value, path))),
    "all": lambda value, path: All(_several(value, path)),
    "any": lambda value, path: AnyOf(_several(value, path)),
    "not": lambda value, path: Not(read_condition(value, path)),
}
CONDITION_KINDS: Sequence[str] = (*_ON_ATTRIBUTE, *_PLAIN)
