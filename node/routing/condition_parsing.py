"""Parsing of the conditions of rules from TOML, with every mistake in them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from node.routing.attributes import (
    allows_multiple_values,
    attribute_mistake,
    is_number,
    is_ordered,
    parse_finite,
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
from node.routing.contradictions import contradiction
from node.routing.patterns import InvalidPattern, UnsupportedPattern, compile_pattern

KeyPath = tuple[str | int, ...]  # keys and indices from the top of the file
Mistake = tuple[KeyPath, str]  # location and message


class InvalidCondition(Exception):
    """A condition is invalid; `mistakes` lists every mistake in it."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(message for _, message in mistakes))
        self.mistakes = mistakes


def parse_condition(table: Any, path: KeyPath) -> Condition:
    """Returns the condition that a TOML table defines; `path` locates the table in the file.

    Several conditions in one table must all hold.

    Raises:
        InvalidCondition: a part of the table is invalid or can never hold.
    """
    if not isinstance(table, Mapping) or not table:
        raise InvalidCondition((path, "a condition is a table such as { at_least_slices = 20 }"))
    mistakes = list(_attribute_mistakes(table, path))
    conditions: list[Condition] = []
    for key, value in table.items():
        try:
            if key != "attribute":
                conditions.append(_parse_entry(key, value, table.get("attribute"), (*path, key)))
        except InvalidCondition as error:
            mistakes += error.mistakes
    if mistakes:
        raise InvalidCondition(*mistakes)
    condition = conditions[0] if len(conditions) == 1 else All(tuple(conditions))
    if excluded := contradiction(condition):
        within = [key for key in table if key != "attribute"]
        raise InvalidCondition(
            ((*path, *within) if len(within) == 1 else path, f"can never hold: {excluded}")
        )
    return condition


def _attribute_mistakes(table: Mapping[str, Any], path: KeyPath) -> Iterator[Mistake]:
    if "attribute" not in table:
        return
    attribute, attribute_path = table["attribute"], (*path, "attribute")
    if message := attribute_mistake(attribute):
        yield attribute_path, message
    elif not any(key in _ATTRIBUTE_CONDITIONS for key in table) and all(
        key == "attribute" or key in _OTHER_CONDITIONS for key in table
    ):
        keys = ", ".join(_ATTRIBUTE_CONDITIONS)
        yield attribute_path, f"nothing is asked of {attribute}; add one of {keys}"


def _parse_entry(key: str, value: Any, attribute: Any, path: KeyPath) -> Condition:
    if key in _OTHER_CONDITIONS:
        return _OTHER_CONDITIONS[key](value, path)
    if key not in _ATTRIBUTE_CONDITIONS:
        raise InvalidCondition((path, f"unknown condition{suggestion(key, CONDITION_KEYS)}"))
    if attribute is None:
        raise InvalidCondition((path, 'needs an attribute, such as attribute = "Modality"'))
    return _ATTRIBUTE_CONDITIONS[key](str(attribute), value, path)


def _scalar(value: Any, path: KeyPath) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidCondition((path, "must be a text or a number"))
    if not str(value).strip():
        raise InvalidCondition((path, "is empty, but a value never is"))
    return str(value).strip()


def _expected_value(attribute: str, value: Any, path: KeyPath) -> str:
    """Returns the expected value, which must be one that the attribute can have."""
    text = _scalar(value, path)
    if "\\" in text and allows_multiple_values(attribute):
        example = text.rpartition("\\")[2]
        message = f"values are compared one by one; name one of them, such as {example!r}"
        raise InvalidCondition((path, message))
    if is_number(attribute) and parse_finite(text) is None:
        raise InvalidCondition((path, f"{attribute} is a number, which {text!r} is not"))
    return text


def _items(value: Any, path: KeyPath) -> Iterator[tuple[Any, KeyPath]]:
    if not isinstance(value, list) or not value:
        raise InvalidCondition((path, 'must be a list that is not empty, such as ["A", "B"]'))
    return ((item, (*path, i)) for i, item in enumerate(value))


def _range(attribute: str, value: Any, path: KeyPath) -> Condition:
    numbers = [_range_end(v) for v in value] if isinstance(value, list) else []
    if len(numbers) != 2 or any(map(math.isnan, numbers)):
        raise InvalidCondition((path, "must be two numbers, such as [0.5, 5.0]"))
    low, high = numbers
    if low > high:
        raise InvalidCondition(
            (path, f"the lower end {low:.10g} lies above the upper end {high:.10g}")
        )
    if not attribute_mistake(attribute) and not is_ordered(attribute):
        message = f"{attribute} is a text, not a number; use equals, one_of or matches"
        raise InvalidCondition((path, message))
    return InRange(attribute, low, high)


def _range_end(value: Any) -> float:
    """Returns one end of a range: ±inf for an open end, NaN for a value that is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _matches(attribute: str, value: Any, path: KeyPath) -> Condition:
    if not isinstance(value, str):
        raise InvalidCondition((path, "must be a regular expression"))
    try:
        return Matches(attribute, compile_pattern(value))
    except InvalidPattern as error:
        raise InvalidCondition((path, f"is not a regular expression: {error}")) from error
    except UnsupportedPattern as error:
        raise InvalidCondition((path, str(error))) from error


def _at_least_slices(value: Any, path: KeyPath) -> Condition:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidCondition((path, "must be a whole number from 1"))
    return AtLeastSlices(value)


def _condition_list(value: Any, path: KeyPath) -> tuple[Condition, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidCondition((path, "must be a list of conditions that is not empty"))
    conditions: list[Condition] = []
    mistakes: list[Mistake] = []
    for i, table in enumerate(value):
        try:
            conditions.append(parse_condition(table, (*path, i)))
        except InvalidCondition as error:
            mistakes += error.mistakes
    if mistakes:
        raise InvalidCondition(*mistakes)
    return tuple(conditions)


# Key in TOML -> parser of a condition on the attribute of the same table.
_ATTRIBUTE_CONDITIONS: dict[str, Callable[[str, Any, KeyPath], Condition]] = {
    "equals": lambda attribute, value, path: Equals(
        attribute, _expected_value(attribute, value, path)
    ),
    "one_of": lambda attribute, value, path: OneOf(
        attribute, tuple(_expected_value(attribute, v, p) for v, p in _items(value, path))
    ),
    "range": _range,
    "matches": _matches,
}
# Key in TOML -> parser of a condition on the series, or of a combination of conditions.
_OTHER_CONDITIONS: dict[str, Callable[[Any, KeyPath], Condition]] = {
    "at_least_slices": _at_least_slices,
    "from_ae": lambda value, path: FromAe(tuple(_scalar(v, p) for v, p in _items(value, path))),
    "all": lambda value, path: All(_condition_list(value, path)),
    "any": lambda value, path: AnyOf(_condition_list(value, path)),
    "not": lambda value, path: Not(parse_condition(value, path)),
}
CONDITION_KEYS: Sequence[str] = (*_ATTRIBUTE_CONDITIONS, *_OTHER_CONDITIONS)
