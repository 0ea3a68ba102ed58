"""The kinds of conditions a rule can set; each judges facts and says why.

A condition on an attribute holds when any of the attribute's values satisfies it. An attribute
that is absent or empty satisfies none. `matches` finds its pattern anywhere in the value
(Python's `re.search`); `^` and `$` tie it to the ends.
Values that could name a patient are compared, but appear in no verdict; nor does what a condition
on them asks for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from node.routing.attributes import names_a_patient, number, same, shown


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


def _wanted(attribute: str, text: str) -> str:
    """What a condition asks for; where it held, that is what the patient has."""
    return "a value not shown" if names_a_patient(attribute) else text


@dataclass(frozen=True)
class Equals:
    """The attribute has exactly this value."""

    attribute: str
    value: str

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Compares as `same` says."""
        values = facts.attributes.get(self.attribute, ())
        held = any(same(self.attribute, v, self.value) for v in values)
        wanted = _wanted(self.attribute, self.value)
        return Verdict(f"{self.attribute} equals {wanted}", held, shown(self.attribute, values))


@dataclass(frozen=True)
class OneOf:
    """The attribute has one of these values."""

    attribute: str
    values: tuple[str, ...]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Compares as `Equals` does."""
        values = facts.attributes.get(self.attribute, ())
        held = any(same(self.attribute, v, wanted) for v in values for wanted in self.values)
        wanted = _wanted(self.attribute, ", ".join(self.values))
        return Verdict(f"{self.attribute} is one of {wanted}", held, shown(self.attribute, values))


@dataclass(frozen=True)
class InRange:
    """The attribute is a number from `low` to `high`, both included."""

    attribute: str
    low: float
    high: float

    def judge(self, facts: SeriesFacts) -> Verdict:
        """A value that is no number is in no range."""
        values = facts.attributes.get(self.attribute, ())
        numbers = [n for v in values if (n := number(self.attribute, v)) is not None]
        held = any(self.low <= n <= self.high for n in numbers)
        wanted = _wanted(self.attribute, f"{self.low:.10g} to {self.high:.10g}")
        return Verdict(f"{self.attribute} is from {wanted}", held, shown(self.attribute, values))


@dataclass(frozen=True)
class Matches:
    """The pattern is found in the attribute's value."""

    attribute: str
    pattern: re.Pattern[str]

    def judge(self, facts: SeriesFacts) -> Verdict:
        """Searches each value."""
        values = facts.attributes.get(self.attribute, ())
        held = any(self.pattern.search(v) for v in values)
        wanted = _wanted(self.attribute, repr(self.pattern.pattern))
        return Verdict(f"{self.attribute} matches {wanted}", held, shown(self.attribute, values))


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
            return Verdict(f"not {part.condition}", not part.held, parts=part.parts)
        return Verdict(f"not: {part.condition}", not part.held, part.actual)
