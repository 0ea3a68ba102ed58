"""Rules: which series a model processes, and the destinations of the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from node.domain.findings import FindingKind
from node.domain.job import Priority
from node.domain.series import AcquisitionChoice
from node.routing.conditions import Condition

# One day: after a longer pause, a scanner has started a new examination.
MAX_QUIET_SECONDS = 86400


@dataclass(frozen=True)
class Rule:
    """A series that satisfies `when` is processed by `model`; results go to `destinations`.

    A result with a finding of `mark_on` is marked. One with a finding of `hold_on` waits until a
    person releases it. `acquisitions` is the choice in a series that holds several of one region;
    None if the rule makes none.
    """

    name: str
    model: str
    destinations: tuple[str, ...]
    when: Condition
    quiet_seconds: float
    priority: Priority = Priority.ROUTINE
    mark_on: frozenset[FindingKind] = frozenset()
    hold_on: frozenset[FindingKind] = frozenset()
    acquisitions: AcquisitionChoice | None = None


@dataclass(frozen=True)
class CombinedRules:
    """What the rules that select one model for a series say together about its results.

    Results are marked or held for the findings of any of the rules. The choice among several
    acquisitions is that of the first rule, in the order of the configuration, that makes one.
    """

    mark_on: frozenset[FindingKind] = frozenset()
    hold_on: frozenset[FindingKind] = frozenset()
    acquisitions: AcquisitionChoice = AcquisitionChoice.REFUSE

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Self:
        """Combines the rules, which are in the order of the configuration."""
        choices = [rule.acquisitions for rule in rules if rule.acquisitions is not None]
        return cls(
            mark_on=frozenset().union(*(rule.mark_on for rule in rules)),
            hold_on=frozenset().union(*(rule.hold_on for rule in rules)),
            acquisitions=choices[0] if choices else AcquisitionChoice.REFUSE,
        )
