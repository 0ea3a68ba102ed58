"""Rules: which series goes to which model, and the result to which destinations."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword

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

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Rule:
    """A series that fulfils `when` is processed by `model`; the result goes to `destinations`."""

    name: str
    model: str
    destinations: tuple[str, ...]
    when: Condition
    quiet_seconds: float


class InvalidCondition(Exception):
    """A condition cannot be understood; `path` leads to the key that is wrong."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def read_condition(table: Any, path: Path) -> Condition:
    """The condition that a TOML table sets down; `path` is where it stands.

    Several conditions in one table must all hold.

    Raises:
        InvalidCondition: anything in it is not understood.
    """
    if not isinstance(table, Mapping) or not table:
        raise InvalidCondition(path, "a condition is a table such as { at_least_slices = 20 }")
    attribute = table.get("attribute")
    known = CONDITION_KINDS
    for key in table:
        if key != "attribute" and key not in known:
            raise InvalidCondition((*path, key), f"unknown condition{suggestion(key, known)}")
    conditions = list(_conditions(table, attribute, path))
    if not conditions:
        raise InvalidCondition(
            (*path, "attribute"), f"says nothing of {attribute}; add one of {_names(_ON_ATTRIBUTE)}"
        )
    return conditions[0] if len(conditions) == 1 else All(tuple(conditions))


def _conditions(table: Mapping[str, Any], attribute: Any, path: Path) -> Iterator[Condition]:
    if attribute is not None:
        _check_attribute(attribute, (*path, "attribute"))
    for key, value in table.items():
        here = (*path, key)
        if key in _PLAIN:
            yield _PLAIN[key](value, here)
        elif key in _ON_ATTRIBUTE:
            if attribute is None:
                raise InvalidCondition(here, 'needs an attribute, such as attribute = "Modality"')
            yield _ON_ATTRIBUTE[key](attribute, value, here)


def _check_attribute(attribute: Any, path: Path) -> None:
    if not isinstance(attribute, str) or tag_for_keyword(attribute) is None:
        raise InvalidCondition(
            path, f"{attribute!r} is no DICOM keyword{suggestion(str(attribute), _FREQUENT)}"
        )


# What rules are usually about: the suggestions for a misspelt keyword.
_FREQUENT = (
    "AccessionNumber",
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "ImageType",
    "InstitutionName",
    "KVP",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "PatientAge",
    "PatientPosition",
    "PatientSex",
    "ProtocolName",
    "RequestedProcedureDescription",
    "SeriesDescription",
    "SeriesNumber",
    "SliceThickness",
    "StationName",
    "StudyDescription",
)


def suggestion(word: str, known: Any) -> str:
    """ " (did you mean ...?)", or the known words when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else f"; known: {_names(known) or 'none'}"


def _names(words: Any) -> str:
    return ", ".join(sorted(words))


def _scalar(value: Any, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidCondition(path, "must be a text or a number")
    return str(value)


def _scalars(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidCondition(path, 'must be a list that is not empty, such as ["A", "B"]')
    return tuple(_scalar(v, path) for v in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range(attribute: str, value: Any, path: Path) -> Condition:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
        raise InvalidCondition(path, "must be two numbers, such as [0.5, 5.0]")
    low, high = float(value[0]), float(value[1])
    if low > high:
        raise InvalidCondition(path, f"the lower end {low:g} lies above the upper end {high:g}")
    return InRange(attribute, low, high)


def _matches(attribute: str, value: Any, path: Path) -> Condition:
    if not isinstance(value, str):
        raise InvalidCondition(path, "must be a regular expression")
    try:
        return Matches(attribute, re.compile(value))
    except re.error as error:
        raise InvalidCondition(path, f"is no regular expression: {error}") from error


def _at_least_slices(value: Any, path: Path) -> Condition:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidCondition(path, "must be a whole number from 1")
    return AtLeastSlices(value)


def _several(value: Any, path: Path) -> tuple[Condition, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidCondition(path, "must be a list of conditions that is not empty")
    return tuple(read_condition(table, (*path, i)) for i, table in enumerate(value))


# The table of kinds: key in TOML -> how its value becomes a condition.
_ON_ATTRIBUTE: dict[str, Callable[[str, Any, Path], Condition]] = {
    "equals": lambda attribute, value, path: Equals(attribute, _scalar(value, path)),
    "one_of": lambda attribute, value, path: OneOf(attribute, _scalars(value, path)),
    "range": _range,
    "matches": _matches,
}
_PLAIN: dict[str, Callable[[Any, Path], Condition]] = {
    "at_least_slices": _at_least_slices,
    "from_ae": lambda value, path: FromAe(_scalars(value, path)),
    "all": lambda value, path: All(_several(value, path)),
    "any": lambda value, path: AnyOf(_several(value, path)),
    "not": lambda value, path: Not(read_condition(value, path)),
}
CONDITION_KINDS = (*_ON_ATTRIBUTE, *_PLAIN)
