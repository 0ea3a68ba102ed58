"""The kinds of conditions a rule can set; each judges facts and says why.

A condition on an attribute holds when any of the attribute's values satisfies it. An attribute
that is absent or empty satisfies none. `matches` finds its pattern anywhere in the value
(Python's `re.search`); `^` and `$` tie it to the ends.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class SeriesFacts:
    """What is known about a complete series: attribute keyword -> values, as texts."""

    attributes: Mapping[str, tuple[str, ...]]
    slice_count: int
    origin_peer: str


@dataclass(frozen=True)
class Verdict:
    """Whether a condition held, on what value, and the verdicts of the conditions inside."""

    condition: str  # in words
    held: bool
    actual: str = ""  # in words; empty for any, all and not
    parts: tuple["Verdict", ...] = ()


@runtime_checkable
class Condition(Protocol):
    """Something that can be said of a series."""

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Whether it holds; never raises."""
        ...


# Attributes that name a patient: their values are compared but never kept or shown.
_IDENTIFYING = frozenset(
    {
        "PatientName",
        "PatientID",
        "OtherPatientIDs",
        "OtherPatientNames",
        "PatientBirthName",
        "PatientMotherBirthName",
        "PatientBirthDate",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "MedicalRecordLocator",
    }
)


def _shown(keyword: str, values: tuple[str, ...]) -> str:
    if not values:
        return "is absent"
    if keyword in _IDENTIFYING:
        return "value not shown: it could name a patient"
    return "is " + "\\".join(values)


@dataclass(frozen=True)
class Equals:
    """The attribute has exactly this value."""

    attribute: str
    value: str

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Compares texts; numbers as numbers, so that 5 equals 5.0."""
        values = facts.attributes.get(self.attribute, ())
        held = any(_same(v, self.value) for v in values)
        return Verdict(
            f"{self.attribute} equals {self.value}", held, _shown(self.attribute, values)
        )


@dataclass(frozen=True)
class OneOf:
    """The attribute has one of these values."""

    attribute: str
    values: tuple[str, ...]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Compares as `Equals` does."""
        values = facts.attributes.get(self.attribute, ())
        held = any(_same(v, wanted) for v in values for wanted in self.values)
        return Verdict(
            f"{self.attribute} is one of {', '.join(self.values)}",
            held,
            _shown(self.attribute, values),
        )


@dataclass(frozen=True)
class InRange:
    """The attribute is a number from `low` to `high`, both included."""

    attribute: str
    low: float
    high: float

    def judge(self, facts: SeriesFacts) -> Verdict:
        """A value that is no number is in no range."""
        values = facts.attributes.get(self.attribute, ())
        numbers = [n for n in map(_number, values) if n is not None]
        held = any(self.low <= n <= self.high for n in numbers)
        return Verdict(
            f"{self.attribute} is from {self.low:g} to {self.high:g}",
            held,
            _shown(self.attribute, values),
        )


@dataclass(frozen=True)
class Matches:
    """The pattern is found in the attribute's value."""

    attribute: str
    pattern: re.Pattern[str]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Searches each value."""
        values = facts.attributes.get(self.attribute, ())
        held = any(self.pattern.search(v) for v in values)
        return Verdict(
            f"{self.attribute} matches {self.pattern.pattern!r}",
            held,
            _shown(self.attribute, values),
        )


@dataclass(frozen=True)
class AtLeastSlices:
    """The series has so many images or frames."""

    count: int

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Compares the count."""
        return Verdict(
            f"at least {self.count} slices",
            facts.slice_count >= self.count,
            f"has {facts.slice_count}",
        )


@dataclass(frozen=True)
class FromAe:
    """The series came from one of these AE titles (or DICOMweb sources, by name)."""

    ae_titles: tuple[str, ...]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Compares exactly."""
        return Verdict(
            f"sent by {' or '.join(self.ae_titles)}",
            facts.origin_peer in self.ae_titles,
            f"was sent by {facts.origin_peer or 'nobody known'}",
        )


@dataclass(frozen=True)
class All:
    """Each of the conditions holds."""

    conditions: tuple[Condition, ...]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Judges each, so that the explanation is whole."""
        parts = tuple(c.judge(facts) for c in self.conditions)
        return Verdict("all of", all(p.held for p in parts), parts=parts)


@dataclass(frozen=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Judges each, so that the explanation is whole."""
        parts = tuple(c.judge(facts) for c in self.conditions)
        return Verdict("any of", any(p.held for p in parts), parts=parts)


@dataclass(frozen=True)
class Not:
    """The condition does not hold."""

    condition: Condition

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Judges the condition inside."""
        part = self.condition.judge(facts)
        if part.parts:
            return Verdict("not", not part.held, parts=(part,))
        return Verdict(f"not: {part.condition}", not part.held, part.actual)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _same(value: str, wanted: str) -> bool:
    if value == wanted:
        return True
    left, right = _number(value), _number(wanted)
    return left is not None and left == right
