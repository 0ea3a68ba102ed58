"""The conditions of rules; each returns a verdict on a series and the value it was based on.

A condition on an attribute holds if any of the attribute's values satisfies it. An attribute that
is absent or empty satisfies no condition. `matches` finds its pattern anywhere in the value;
`^` and `$` anchor it to the ends.
Values that can identify a patient are compared but do not appear in a verdict, and neither does
the expected value of such a condition.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from node.routing.attributes import (
    describe_values,
    identifies_patient,
    parse_number,
    values_equal,
)
from node.routing.patterns import Pattern
from node.routing.series_facts import SeriesFacts


@dataclass(frozen=True)
class Verdict:
    """Whether a condition held, the value it was based on, and the verdicts of its parts.

    Decisions are stored with these field names.
    """

    condition: str  # description
    held: bool
    actual: str = ""  # description of the value; empty for any, all and not
    parts: tuple["Verdict", ...] = ()


@runtime_checkable
class Condition(Protocol):
    """A condition on a series."""

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Returns whether the condition holds; never raises."""
        ...


def _expected(attribute: str, text: str) -> str:
    """Returns the expected value for display; where the condition held, the patient has it."""
    return "a value not shown" if identifies_patient(attribute) else text


@dataclass(frozen=True)
class Equals:
    """The attribute has exactly this value."""

    attribute: str
    value: str

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Compares by `values_equal`."""
        values = facts.attributes.get(self.attribute, ())
        held = any(values_equal(self.attribute, v, self.value) for v in values)
        expected = _expected(self.attribute, self.value)
        return Verdict(
            f"{self.attribute} equals {expected}", held, describe_values(self.attribute, values)
        )


@dataclass(frozen=True)
class OneOf:
    """The attribute has one of these values."""

    attribute: str
    values: tuple[str, ...]

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Compares by `values_equal`."""
        values = facts.attributes.get(self.attribute, ())
        held = any(
            values_equal(self.attribute, v, option) for v in values for option in self.values
        )
        expected = _expected(self.attribute, ", ".join(self.values))
        return Verdict(
            f"{self.attribute} is one of {expected}", held, describe_values(self.attribute, values)
        )


@dataclass(frozen=True)
class InRange:
    """The attribute is a number from `low` to `high`, both included."""

    attribute: str
    low: float
    high: float

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Compares the numeric values; a value that is not a number is outside every range."""
        values = facts.attributes.get(self.attribute, ())
        numbers = [n for v in values if (n := parse_number(self.attribute, v)) is not None]
        held = any(self.low <= n <= self.high for n in numbers)
        expected = _expected(self.attribute, f"{self.low:.10g} to {self.high:.10g}")
        return Verdict(
            f"{self.attribute} is from {expected}", held, describe_values(self.attribute, values)
        )


@dataclass(frozen=True)
class Matches:
    """The regular expression matches somewhere in the attribute's value."""

    attribute: str
    pattern: Pattern

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Searches each value."""
        values = facts.attributes.get(self.attribute, ())
        held = any(self.pattern.is_in(v) for v in values)
        expected = _expected(self.attribute, repr(self.pattern.text))
        return Verdict(
            f"{self.attribute} matches {expected}", held, describe_values(self.attribute, values)
        )


@dataclass(frozen=True)
class AtLeastSlices:
    """The series has at least `count` images or frames."""

    count: int

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Compares the number of slices."""
        return Verdict(
            f"at least {self.count} slices",
            facts.slice_count >= self.count,
            f"has {facts.slice_count}",
        )


@dataclass(frozen=True)
class FromAe:
    """The series came from one of these AE titles (or DICOMweb sources, by name)."""

    ae_titles: tuple[str, ...]

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Compares the name of the sender exactly."""
        return Verdict(
            f"sent by {' or '.join(self.ae_titles)}",
            facts.origin_peer in self.ae_titles,
            f"was sent by {facts.origin_peer or 'an unknown sender'}",
        )


@dataclass(frozen=True)
class RequestedByWorkItem:
    """A work item requests the rule with this name for the series."""

    rule: str

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Looks the rule up among the requested ones."""
        held = self.rule in facts.requested_rules
        return Verdict("requested by a work item", held, "" if held else "no work item names it")


@dataclass(frozen=True)
class Enabled:
    """The rule is enabled; the condition belongs to rules that are not, and never holds."""

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Returns that the rule is disabled."""
        return Verdict("the rule is enabled", held=False, actual="it is disabled")


@dataclass(frozen=True)
class All:
    """All of the conditions hold."""

    conditions: tuple[Condition, ...]

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Evaluates every condition, so that the explanation is complete."""
        parts = tuple(c.evaluate(facts) for c in self.conditions)
        return Verdict("all of", all(p.held for p in parts), parts=parts)


@dataclass(frozen=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Evaluates every condition, so that the explanation is complete."""
        parts = tuple(c.evaluate(facts) for c in self.conditions)
        return Verdict("any of", any(p.held for p in parts), parts=parts)


@dataclass(frozen=True)
class Not:
    """The condition does not hold."""

    condition: Condition

    def evaluate(self, facts: SeriesFacts) -> Verdict:
        """Evaluates the inner condition and negates its verdict."""
        part = self.condition.evaluate(facts)
        if part.parts:
            return Verdict(f"not {part.condition}", not part.held, parts=part.parts)
        return Verdict(f"not: {part.condition}", not part.held, part.actual)
