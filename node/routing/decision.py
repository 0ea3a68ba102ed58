"""Which rules want a series; the decision explains itself and can be kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from node.routing.conditions import SeriesFacts, Verdict
from node.routing.rules import Rule


@dataclass(frozen=True)
class RuleVerdict:
    """Whether one rule wanted the series, and what would have come of it."""

    rule: str
    model: str
    destinations: tuple[str, ...]
    verdict: Verdict

    @property
    def matched(self) -> bool:
        """Whether the rule wanted the series."""
        return self.verdict.held


@dataclass(frozen=True)
class Decision:
    """The verdict of every rule on one series."""

    matches: tuple[RuleVerdict, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that wanted the series."""
        return tuple(m.rule for m in self.matches if m.matched)

    def to_json(self) -> str:
        """As a text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The decision that `to_json` wrote."""
        return cls(
            tuple(
                RuleVerdict(m["rule"], m["model"], tuple(m["destinations"]), _verdict(m["verdict"]))
                for m in json.loads(text)["matches"]
            )
        )


def _verdict(table: dict[str, Any]) -> Verdict:
    parts = tuple(_verdict(part) for part in table["parts"])
    return Verdict(table["condition"], table["held"], table["actual"], parts)


def decide(rules: Sequence[Rule], facts: SeriesFacts) -> Decision:
    """Judge the series by every rule; pure, and never raises."""
    return Decision(
        tuple(RuleVerdict(r.name, r.model, r.destinations, r.when.judge(facts)) for r in rules)
    )


def explain(decision: Decision) -> str:
    """The decision in words: each rule, each condition, and the value it was judged on."""
    if not decision.matches:
        return "No rules are configured, so no series is processed."
    lines: list[str] = []
    for match in decision.matches:
        if match.matched:
            goal = f"{match.model}, results to {', '.join(match.destinations)}"
            lines.append(f"Rule {match.rule!r} wanted the series: {goal}")
        else:
            lines.append(f"Rule {match.rule!r} did not match")
        lines.extend(_told(match.verdict, depth=1))
    return "\n".join(lines)


def _told(verdict: Verdict, depth: int) -> list[str]:
    mark = "✓" if verdict.held else "✗"
    actual = f" ({verdict.actual})" if verdict.actual else ""
    lines = [f"{'  ' * depth}{mark} {verdict.condition}{actual}"]
    for part in verdict.parts:
        lines.extend(_told(part, depth + 1))
    return lines
