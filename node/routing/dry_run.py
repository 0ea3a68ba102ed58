"""Comparison of the decisions of two sets of rules on one series: what changes, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from node.routing.conditions import Verdict
from node.routing.rule_matching import Decision, RuleVerdict


class ChangeKind(StrEnum):
    """How the verdict of a rule on a series changes."""

    STARTS = "starts"  # it matches the series, and did not before
    STOPS = "stops"  # it no longer matches the series
    TARGET = "target"  # it matches as before, with another model or other destinations


@dataclass(frozen=True)
class RuleChange:
    """A rule that decides differently on a series.

    `deciding` are the conditions that make the difference: those that fail now, or that failed
    before. It is empty if the rule is new, removed or disabled, or only its target changes.
    """

    rule: str
    kind: ChangeKind
    text: str
    deciding: tuple[Verdict, ...] = ()


def compare(before: Decision, after: Decision) -> tuple[RuleChange, ...]:
    """Returns the rules whose verdict on the same series differs between the two decisions."""
    earlier = {match.rule: match for match in before.matches}
    later = {match.rule: match for match in after.matches}
    names = dict.fromkeys([*later, *earlier])
    found = (_change(name, earlier.get(name), later.get(name)) for name in names)
    return tuple(change for change in found if change is not None)


def deciding_conditions(verdict: Verdict) -> tuple[Verdict, ...]:
    """Returns the single conditions because of which a combination holds, or does not hold."""
    return tuple(_deciding(verdict))


def _deciding(verdict: Verdict) -> Iterator[Verdict]:
    if not verdict.parts:
        yield verdict
        return
    negated = verdict.condition.startswith("not ")
    # In "all of" and "any of", the parts decide that have the outcome of the whole.
    outcome = verdict.held != negated
    for part in verdict.parts:
        if part.held == outcome:
            yield from _deciding(part)


def _change(name: str, before: RuleVerdict | None, after: RuleVerdict | None) -> RuleChange | None:
    matched = before is not None and before.matched
    matches = after is not None and after.matched
    if matches and not matched:
        return _start(name, before)
    if matched and not matches:
        return _stop(name, after)
    if before is None or after is None or not matches:
        return None
    return _target_change(name, before, after)


def _start(name: str, before: RuleVerdict | None) -> RuleChange:
    if before is None:
        return RuleChange(name, ChangeKind.STARTS, "matches; until now there is no such rule")
    deciding = deciding_conditions(before.verdict)
    text = f"matches; until now it does not, because of: {_listed(deciding)}"
    return RuleChange(name, ChangeKind.STARTS, text, deciding)


def _stop(name: str, after: RuleVerdict | None) -> RuleChange:
    if after is None:
        return RuleChange(name, ChangeKind.STOPS, "no longer applies: it is removed or disabled")
    deciding = deciding_conditions(after.verdict)
    text = f"no longer matches, because of: {_listed(deciding)}"
    return RuleChange(name, ChangeKind.STOPS, text, deciding)


def _target_change(name: str, before: RuleVerdict, after: RuleVerdict) -> RuleChange | None:
    changes = []
    if before.model != after.model:
        changes.append(f"model {after.model} instead of {before.model}")
    if before.destinations != after.destinations:
        now, then = ", ".join(before.destinations), ", ".join(after.destinations)
        changes.append(f"results to {then} instead of {now}")
    if not changes:
        return None
    return RuleChange(name, ChangeKind.TARGET, f"matches as before, with {'; '.join(changes)}")


def _listed(verdicts: tuple[Verdict, ...]) -> str:
    return "; ".join(
        f"{verdict.condition} ({verdict.actual})" if verdict.actual else verdict.condition
        for verdict in verdicts
    )
