"""Conditions that no series can satisfy, because their parts exclude each other."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from node.routing.attributes import has_one_value, is_code_string, is_number
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
from node.routing.series_facts import SeriesFacts

# Ways to satisfy nested `any`; beyond this, a condition counts as one that may hold.
_MAX_WAYS = 1000
# About one attribute; every two of them are compared.
_MAX_REQUIREMENTS = 100
_NO_FACTS = SeriesFacts({}, 0, "")


@dataclass(frozen=True)
class _Requirement:
    """A condition without parts that must hold, or must not."""

    condition: Condition
    holds: bool

    def __str__(self) -> str:
        text = self.condition.evaluate(_NO_FACTS).condition
        return text if self.holds else f"not: {text}"

    def is_met(self, facts: SeriesFacts) -> bool:
        return self.condition.evaluate(facts).held is self.holds


_Way = tuple[_Requirement, ...]


def contradiction(condition: Condition) -> str:
    """Names parts of the condition that exclude each other, so that it can never hold.

    The result is empty if a series may satisfy the condition. Not every contradiction is found:
    two regular expressions, for example, are not compared.
    """
    reasons = []
    for way in _ways(condition, holds=True):
        reason = next(_reasons(way), "")
        if not reason:
            return ""
        reasons.append(reason)
    return reasons[0]


def _ways(condition: Condition, *, holds: bool) -> list[_Way]:
    """Returns what must be met together, for each way in which the condition holds or does not."""
    match condition:
        case Not(condition=inner):
            return _ways(inner, holds=not holds)
        case All(conditions=parts) | AnyOf(conditions=parts):
            of_parts = [_ways(part, holds=holds) for part in parts]
        case _:
            return [(_Requirement(condition, holds),)]
    if isinstance(condition, All) is not holds:
        return [way for ways in of_parts for way in ways]
    combined: list[_Way] = [()]
    for ways in of_parts:
        combined = [one + other for one, other in product(combined, ways)]
        if len(combined) > _MAX_WAYS:
            return [()]
    return combined


def _reasons(way: _Way) -> Iterator[str]:
    """Yields the first requirements that exclude each other, of each kind."""
    about: dict[str, list[_Requirement]] = defaultdict(list)
    for requirement in way:
        about[_subject(requirement.condition)].append(requirement)
    for subject, requirements in about.items():
        if len(requirements) > _MAX_REQUIREMENTS or _can_be_met(subject, requirements):
            continue
        pairs = combinations(requirements, 2)
        fewest = next((pair for pair in pairs if not _can_be_met(subject, pair)), requirements)
        yield (" excludes " if len(fewest) == 2 else ", ").join(map(str, fewest))


def _subject(condition: Condition) -> str:
    """Returns what the condition is about: an attribute, or a property of the series."""
    match condition:
        case Equals() | OneOf() | InRange() | Matches():
            return condition.attribute
        case _:
            return type(condition).__name__


def _can_be_met(subject: str, requirements: Sequence[_Requirement]) -> bool:
    """Whether one series may meet all requirements about this subject."""
    required = {r.condition for r in requirements if r.holds}
    if any(not r.holds and r.condition in required for r in requirements):
        return False
    match requirements[0].condition:
        case AtLeastSlices():
            conditions = (r.condition for r in requirements)
            counts = [0, *(c.count for c in conditions if isinstance(c, AtLeastSlices))]
            return any(
                all(r.is_met(SeriesFacts({}, count, "")) for r in requirements) for count in counts
            )
        case FromAe():
            named = [c.ae_titles for c in required if isinstance(c, FromAe)]
            return not named or any(
                all(r.is_met(SeriesFacts({}, 0, name)) for r in requirements) for name in named[0]
            )
        case _:
            return not has_one_value(subject) or _one_value_meets(subject, requirements)


def _one_value_meets(attribute: str, requirements: Sequence[_Requirement]) -> bool:
    """Whether one value of the attribute may meet all requirements."""
    required = [r.condition for r in requirements if r.holds]
    values = next((values for c in required if (values := _named_values(c))), ())
    if values:
        # A number has many spellings, and a pattern matches some of them.
        compared = [
            r
            for r in requirements
            if not (is_number(attribute) and isinstance(r.condition, Matches))
        ]
        return any(
            all(r.is_met(SeriesFacts({attribute: (spelling,)}, 0, "")) for r in compared)
            for value in values
            for spelling in _spellings(attribute, value)
        )
    ranges = [c for c in required if isinstance(c, InRange)]
    return not ranges or max(r.low for r in ranges) <= min(r.high for r in ranges)


def _named_values(condition: Condition) -> tuple[str, ...]:
    match condition:
        case Equals(value=value):
            return (value,)
        case OneOf(values=values):
            return values
        case _:
            return ()


def _spellings(attribute: str, value: str) -> set[str]:
    """Returns the value; a code string, which is compared without regard to case, in all cases."""
    return {value, value.upper(), value.lower()} if is_code_string(attribute) else {value}
