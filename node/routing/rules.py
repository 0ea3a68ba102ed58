"""Rules: which series a model processes, and the destinations of the result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from node.domain.findings import DEFAULT_MIN_AGREEMENT, FindingKind
from node.domain.job import Priority
from node.domain.series import AcquisitionChoice
from node.routing.conditions import All, Condition, Enabled

# One day: after a longer pause, a scanner has started a new examination.
MAX_QUIET_SECONDS = 86400


@dataclass(frozen=True)
class Rule:
    """A series that satisfies `when` is processed by `model`; results go to `destinations`.

    `model` is a name, or a name with the version, such as `liver-ct@0.3.0`. So is `shadow`, a
    candidate that runs on the same series for comparison and delivers nothing.
    A result with a finding of `mark_on` is marked. One with a finding of `hold_on` waits until a
    person releases it. Two models disagree on an organ below `min_agreement` (Dice coefficient).
    `acquisitions` is the choice in a series that holds several of one region; None if the rule
    makes none.
    A rule that is not `enabled` matches no series; its `when` includes that condition.
    A rule that is `only_for_work_items` applies to series that a work item requests it for; its
    `when` includes that condition.
    """

    name: str
    model: str
    destinations: tuple[str, ...]
    when: Condition
    quiet_seconds: float
    priority: Priority = Priority.ROUTINE
    mark_on: frozenset[FindingKind] = frozenset()
    hold_on: frozenset[FindingKind] = frozenset()
    min_agreement: float = DEFAULT_MIN_AGREEMENT
    acquisitions: AcquisitionChoice | None = None
    only_for_work_items: bool = False
    enabled: bool = True
    shadow: str | None = None

    @property
    def model_id(self) -> str:
        """The model's name without the version."""
        return self.model.partition("@")[0]

    def selects(self, model_id: str, model_version: str) -> bool:
        """Whether the rule names this model, and this version of it if it names one."""
        return self.model in (model_id, f"{model_id}@{model_version}")


def own_condition(rule: Rule) -> Condition:
    """Returns the condition that the configuration states, also of a rule that is disabled."""
    match rule.when:
        case All(conditions=(Enabled(), own)):
            return own
        case own:
            return own


@dataclass(frozen=True)
class CombinedRules:
    """What the rules that select one model for a series say together about its results.

    Results are marked or held for the findings of any of the rules, and the highest of their
    `min_agreement` applies. The choice among several acquisitions is that of the first rule, in the
    order of the configuration, that makes one.
    """

    mark_on: frozenset[FindingKind] = frozenset()
    hold_on: frozenset[FindingKind] = frozenset()
    min_agreement: float = DEFAULT_MIN_AGREEMENT
    acquisitions: AcquisitionChoice = AcquisitionChoice.REFUSE

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Self:
        """Combines the rules, which are in the order of the configuration."""
        choices = [rule.acquisitions for rule in rules if rule.acquisitions is not None]
        return cls(
            mark_on=frozenset().union(*(rule.mark_on for rule in rules)),
            hold_on=frozenset().union(*(rule.hold_on for rule in rules)),
            min_agreement=max(
                (rule.min_agreement for rule in rules), default=DEFAULT_MIN_AGREEMENT
            ),
            acquisitions=choices[0] if choices else AcquisitionChoice.REFUSE,
        )


def models_to_split(rules: Sequence[Rule]) -> frozenset[str]:
    """Returns the models that process each acquisition of a series that these rules match."""
    models = {rule.model for rule in rules}
    return frozenset(
        model
        for model in models
        if CombinedRules.of([rule for rule in rules if rule.model == model]).acquisitions
        is AcquisitionChoice.EACH
    )


def overridden_choices(rules: Sequence[Rule]) -> Iterator[tuple[int, Rule]]:
    """Yields the index of each rule whose choice among acquisitions never applies, and why not.

    The reason is an earlier rule for the same model with another choice, which matches every series
    that the later one matches: all of its conditions are among those that the later one requires.
    """
    for index, rule in enumerate(rules):
        if not rule.enabled:
            continue
        for earlier in rules[:index]:
            choices = {earlier.acquisitions, rule.acquisitions}
            if earlier.model != rule.model or None in choices or len(choices) == 1:
                continue
            if _required(earlier.when) <= _required(rule.when):
                yield index, earlier
                break


def _required(condition: Condition) -> frozenset[Condition]:
    """Returns the conditions that must all hold for this one to hold."""
    if isinstance(condition, All):
        return frozenset().union(*(_required(part) for part in condition.conditions))
    return frozenset({condition})
