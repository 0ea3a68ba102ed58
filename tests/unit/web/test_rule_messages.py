"""Where the form of a rule shows a mistake."""

import pytest

from node.configuration.rule_blocks import RuleBlocks
from node.configuration.rule_form import read_form
from node.domain.errors import Misconfigured
from node.web.console.rules.messages import Message, RulePlace, messages_of

RULE = """\
# For the second scanner.
[[rules]]
name = "two"
model = "liver-ct"
destinations = ["pacs"]
hold_on = ["holes"]

[rules.when]
all = [
  { attribute = "Modality", equals = "CT" },
  { not = { attribute = "ImageType", matches = "^LOCALIZER$" } },
]
"""
TEXT = f"quiet_seconds = 1\n\n{RULE}\n{RULE}"


def message(key: str, line: int | None = 17, text: str = RULE) -> Message:
    error = Misconfigured("is wrong", line=line, key=key)
    place = RulePlace(2, RuleBlocks.of(TEXT).first_line(1), text.count("\n") + 1)
    (found,) = messages_of(error, place, read_form(text))
    return found


def test_the_lines_before_a_rule_are_counted_where_two_rules_are_equal() -> None:
    blocks = RuleBlocks.of(TEXT)
    assert [blocks.first_line(i) for i in (0, 1)] == [2, 15]
    lines = TEXT.split("\n")
    assert [lines[blocks.first_line(i)] for i in (0, 1)] == ["# For the second scanner."] * 2


@pytest.mark.parametrize(
    ("key", "field", "label"),
    [
        ("name", "name", "Name"),
        ("model", "model", "Model"),
        ("destinations", "destinations", "Results go to"),
        ("destinations.1", "destinations", "Results go to"),
        ("quiet_seconds", "quiet", "Quiet time"),
        ("hold_on.1", "finding-holes", "Finding holes"),
        ("when", "conditions", "Conditions"),
        ("when.all", "conditions", "Conditions"),
        ("when.all.1.attribute", "attribute-0", "Condition 1"),
        ("when.all.1.equals", "value-0", "Condition 1"),
        ("when.all.2.not.attribute", "attribute-1", "Condition 2"),
        ("when.all.2.not.matches", "value-1", "Condition 2"),
        ("min_agreement", "", ""),
    ],
)
def test_a_mistake_of_the_rule_has_its_field_and_its_line(key: str, field: str, label: str) -> None:
    assert message(f"rules.2.{key}") == Message("is wrong", 2, field, label)


def test_a_single_condition_is_the_first_row() -> None:
    text = '[[rules]]\nwhen = { attribute = "Modality", equals = "CT" }\n'
    assert message("rules.2.when.equals", text=text).field == "value-0"
    text = "[[rules]]\nwhen = { any = [{ at_least_slices = 3 }, { at_least_slices = 2 }] }\n"
    assert message("rules.2.when.any", text=text) == Message("is wrong", 2)


def test_an_unknown_finding_has_no_field() -> None:
    text = RULE.replace("holes", "wholes")
    assert message("rules.2.hold_on.1", text=text) == Message("is wrong", 2)


def test_a_mistake_elsewhere_names_its_line_in_the_configuration() -> None:
    assert message("rules.1.name", 4) == Message(
        "line 4 of the configuration: rules.1.name: is wrong"
    )
    assert message("SEGNODE_X", None) == Message("SEGNODE_X: is wrong")
