"""Which rules decide differently on a series, and because of which conditions."""

import pytest

from node.routing.conditions import All, AnyOf, Condition, Equals, InRange, Matches, Not
from node.routing.dry_run import ChangeKind, RuleChange, compare, deciding_conditions
from node.routing.patterns import compile_pattern
from node.routing.rule_matching import decide
from node.routing.rule_parsing import parse_rules
from node.routing.rules import Rule
from node.routing.series_facts import SeriesFacts

FACTS = SeriesFacts({"Modality": ("CT",), "SliceThickness": ("2.5",)}, 40, "CT1")
CT = Equals("Modality", "CT")
MR = Equals("Modality", "MR")
THIN = InRange("SliceThickness", 0.5, 2.0)


def rule(when: Condition, model: str = "liver-ct", *destinations: str) -> Rule:
    return Rule("abdomen", model, destinations or ("pacs",), when, 10.0)


def changes(before: list[Rule], after: list[Rule]) -> tuple[RuleChange, ...]:
    return compare(decide(before, FACTS), decide(after, FACTS))


def test_equal_rules_change_nothing() -> None:
    assert changes([rule(CT)], [rule(CT)]) == ()


def test_a_rule_that_stops_names_the_condition_that_fails_now() -> None:
    (change,) = changes([rule(CT)], [rule(All((CT, THIN)))])
    assert change.kind is ChangeKind.STOPS
    assert change.text == (
        "no longer matches, because of: SliceThickness is from 0.5 to 2 (is 2.5)"
    )


def test_a_rule_that_starts_names_the_condition_that_failed_before() -> None:
    (change,) = changes([rule(All((CT, THIN)))], [rule(CT)])
    assert change.kind is ChangeKind.STARTS
    assert [verdict.condition for verdict in change.deciding] == ["SliceThickness is from 0.5 to 2"]


def test_new_and_removed_rules_are_named_without_a_condition() -> None:
    (new,) = changes([], [rule(CT)])
    (removed,) = changes([rule(CT)], [])
    assert (new.kind, new.deciding) == (ChangeKind.STARTS, ())
    assert (removed.kind, removed.deciding) == (ChangeKind.STOPS, ())


def test_a_rule_that_matches_neither_before_nor_after_is_no_change() -> None:
    assert changes([], [rule(MR)]) == ()
    assert changes([rule(MR)], [rule(THIN)]) == ()


def test_another_model_or_destination_is_a_change() -> None:
    (change,) = changes([rule(CT)], [rule(CT, "organs-ct", "pacs", "research")])
    assert change.kind is ChangeKind.TARGET
    assert change.text == (
        "matches as before, with model organs-ct instead of liver-ct; "
        "results to pacs, research instead of pacs"
    )


def test_a_disabled_rule_stops_and_says_so() -> None:
    table = {
        "name": "abdomen",
        "model": "liver-ct",
        "destinations": ["pacs"],
        "when": {"attribute": "Modality", "equals": "CT"},
        "enabled": False,
    }
    (disabled,) = parse_rules([table], 10.0, [])
    (change,) = changes([rule(CT)], [disabled])
    assert change.kind is ChangeKind.STOPS
    assert change.text == ("no longer matches, because of: the rule is enabled (it is disabled)")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (All((CT, MR, THIN)), ["Modality equals MR", "SliceThickness is from 0.5 to 2"]),
        (AnyOf((MR, THIN)), ["Modality equals MR", "SliceThickness is from 0.5 to 2"]),
        (AnyOf((CT, MR)), ["Modality equals CT"]),
        (Not(CT), ["not: Modality equals CT"]),
        # The whole fails because one part of the inner "any" holds.
        (Not(AnyOf((CT, MR))), ["Modality equals CT"]),
        # The whole holds because one part of the inner "all" fails.
        (Not(All((CT, MR))), ["Modality equals MR"]),
        (All((CT, Not(All((CT, Matches("Modality", compile_pattern("C"))))))),
         ["Modality equals CT", "Modality matches 'C'"]),
    ],
)  # fmt: skip
def test_the_deciding_conditions_explain_the_outcome(
    condition: Condition, expected: list[str]
) -> None:
    found = deciding_conditions(condition.evaluate(FACTS))
    assert [verdict.condition for verdict in found] == expected
