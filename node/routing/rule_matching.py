"""The decision on a series by all rules, with its explanation and its stored form."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from node.routing.conditions import Verdict
from node.routing.rules import Rule
from node.routing.series_facts import SeriesFacts


@dataclass(frozen=True)
class RuleVerdict:
    """Whether one rule matched the series, with the rule's model and destinations."""

    rule: str
    model: str
    destinations: tuple[str, ...]
    verdict: Verdict

    @property
    def matched(self) -> bool:
        """Whether the rule matched the series."""
        return self.verdict.held


@dataclass(frozen=True)
class Decision:
    """The verdict of every rule on one series; stored with these field names.

    `parts` are the titles of the parts of the series that have a job of their own each.
    """

    matches: tuple[RuleVerdict, ...]
    parts: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that matched the series."""
        return tuple(m.rule for m in self.matches if m.matched)

    def to_json(self) -> str:
        """Returns the stored form, which `from_json` parses."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parses the stored form that `to_json` returns, or that of an earlier version."""
        table = json.loads(text)
        matches = tuple(
            RuleVerdict(
                m["rule"], m["model"], tuple(m["destinations"]), _parse_verdict(m["verdict"])
            )
            for m in table["matches"]
        )
        return cls(matches, tuple(table.get("parts", ())))


def _parse_verdict(table: dict[str, Any]) -> Verdict:
    parts = tuple(_parse_verdict(part) for part in table["parts"])
    return Verdict(table["condition"], table["held"], table["actual"], parts)


def decide(rules: Sequence[Rule], facts: SeriesFacts) -> Decision:
    """Evaluates every rule on the series; never raises and has no side effect."""
    return Decision(
        tuple(RuleVerdict(r.name, r.model, r.destinations, r.when.evaluate(facts)) for r in rules)
    )


def without_images(rules: Sequence[Rule]) -> Decision:
    """Returns the decision on a series of segmentations, which no rule processes."""
    verdict = Verdict("the series holds images", held=False, actual="it holds segmentations")
    return Decision(tuple(RuleVerdict(r.name, r.model, r.destinations, verdict) for r in rules))


def explain(decision: Decision) -> str:
    """Describes the decision: each rule, each condition and the value it was based on."""
    if not decision.matches:
        return "No rules are configured, so no series is processed."
    lines: list[str] = []
    for match in decision.matches:
        if match.matched:
            target = f"{match.model}, results to {', '.join(match.destinations)}"
            lines.append(f"Rule {match.rule!r} matched the series: {target}")
        else:
            lines.append(f"Rule {match.rule!r} did not match")
        lines.extend(_verdict_lines(match.verdict, depth=1))
    if decision.parts:
        listed = ", ".join(decision.parts)
        lines.append(f"{len(decision.parts)} parts, each with a job of its own: {listed}")
    return "\n".join(lines)


def _verdict_lines(verdict: Verdict, depth: int) -> list[str]:
    mark = "✓" if verdict.held else "✗"
    actual = f" ({verdict.actual})" if verdict.actual else ""
    lines = [f"{'  ' * depth}{mark} {verdict.condition}{actual}"]
    for part in verdict.parts:
        lines.extend(_verdict_lines(part, depth + 1))
    return lines
