"""A rule as a form: the fields that its text gives, and the text that changed fields give."""

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.configuration.rule_form import (
    Comparison,
    ConditionRow,
    RuleForm,
    new_rule,
    read_form,
    write_form,
)
from node.routing.rule_parsing import parse_rules

BLOCK = """# Livers; see [[rules]] in the guide.
[[rules]]
name = "liver"  # as in the console
model = "liver-ct"
destinations = ["pacs"]
quiet_seconds = 10
[rules.when]
all = [
  { attribute = "Modality", equals = "CT" },  # no MR
  { not = { attribute = "ImageType", matches = "LOCALIZER" } },
  { attribute = "SliceThickness", range = [0.5, 5] },
  { from_ae = ["CT1", "CT2"] },
]
"""


def rule_of(block: str) -> dict[str, object]:
    rule: dict[str, object] = tomllib.loads(block)["rules"][0]
    return rule


def test_the_fields_are_those_of_the_text() -> None:
    form = read_form(BLOCK)
    assert (form.name, form.model, form.destinations) == ("liver", "liver-ct", ("pacs",))
    assert (form.enabled, form.quiet_seconds, form.priority) == (True, "10", "")
    assert form.conditions == (
        ConditionRow(Comparison.EQUALS, "CT", "Modality"),
        ConditionRow(Comparison.MATCHES, "LOCALIZER", "ImageType", negated=True),
        ConditionRow(Comparison.RANGE, "0.5, 5", "SliceThickness"),
        ConditionRow(Comparison.FROM_AE, "CT1, CT2"),
    )


def test_unchanged_fields_leave_the_text_as_it_is() -> None:
    assert write_form(BLOCK, read_form(BLOCK)) == BLOCK


def test_a_changed_field_leaves_comments_and_the_other_lines() -> None:
    changed = replace(read_form(BLOCK), model="organs-ct", priority="stat", quiet_seconds="")
    text = write_form(BLOCK, changed)
    assert text == BLOCK.replace("liver-ct", "organs-ct").replace(
        "quiet_seconds = 10\n", 'priority = "stat"\n'
    )


def test_a_rule_is_disabled_and_enabled_again() -> None:
    disabled = write_form(BLOCK, replace(read_form(BLOCK), enabled=False))
    assert rule_of(disabled)["enabled"] is False
    assert write_form(disabled, replace(read_form(disabled), enabled=True)) == BLOCK


def test_changed_conditions_replace_the_earlier_ones() -> None:
    rows = (ConditionRow(Comparison.AT_LEAST_SLICES, "30"),)
    text = write_form(BLOCK, replace(read_form(BLOCK), conditions=rows))
    assert rule_of(text)["when"] == {"all": [{"at_least_slices": 30}]}
    assert read_form(text).conditions == rows


@pytest.mark.parametrize(
    "when",
    [
        "any = [{ at_least_slices = 1 }]",
        "all = [{ any = [{ at_least_slices = 1 }] }]",
        'attribute = "Modality"\nequals = "CT"\nmatches = "C"',
        "not = { not = { at_least_slices = 1 } }",
        'attribute = "SeriesDescription"\none_of = ["a, b", "c"]',
    ],
)
def test_other_combinations_are_kept_and_edited_as_text(when: str) -> None:
    block = f'[[rules]]\nname = "x"\n[rules.when]\n{when}\n'
    form = read_form(block)
    assert form.conditions is None
    changed = write_form(block, replace(form, name="y"))
    assert rule_of(changed)["when"] == rule_of(block)["when"]


@pytest.mark.parametrize("text", ["", "a = 1", "[[rules]]\n[[rules]]\n", "[[rules]]\nname ="])
def test_a_text_that_is_not_one_rule_has_no_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"rule|value"):
        read_form(text)


@pytest.mark.parametrize("value", ["0.5, 5", "0.5 to 5"])
def test_a_range_is_written_with_a_comma_or_with_to(value: str) -> None:
    rows = (ConditionRow(Comparison.RANGE, value, "SliceThickness"),)
    text = write_form(BLOCK, replace(read_form(BLOCK), conditions=rows))
    assert rule_of(text)["when"] == {"all": [{"attribute": "SliceThickness", "range": [0.5, 5]}]}


def test_a_value_of_the_wrong_kind_reaches_the_check() -> None:
    rows = (ConditionRow(Comparison.AT_LEAST_SLICES, "many"),)
    text = write_form(BLOCK, replace(read_form(BLOCK), quiet_seconds="soon", conditions=rows))
    assert rule_of(text)["quiet_seconds"] == "soon"
    assert rule_of(text)["when"] == {"all": [{"at_least_slices": "many"}]}


def test_a_new_rule_is_valid() -> None:
    mistakes: list[object] = []
    rules = tomllib.loads(new_rule("liver-ct", "pacs"))["rules"]
    (rule,) = parse_rules(rules, 10.0, mistakes)  # type: ignore[arg-type]
    assert mistakes == []
    assert (rule.model, rule.destinations) == ("liver-ct", ("pacs",))


_words = st.text(st.characters(codec="utf-8", exclude_characters=",", exclude_categories=["Cs"]))
_items = _words.map(str.strip).filter(bool)
_rows = st.one_of(
    st.builds(
        ConditionRow,
        st.sampled_from([Comparison.EQUALS, Comparison.MATCHES]),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.just("SeriesDescription"),
        st.booleans(),
    ),
    st.builds(
        ConditionRow,
        st.just(Comparison.ONE_OF),
        st.lists(_items, min_size=1, max_size=3).map(", ".join),
        st.just("BodyPartExamined"),
        st.booleans(),
    ),
)


@given(st.lists(_rows, max_size=4), _items, st.booleans())
def test_what_a_form_writes_it_reads_again(
    rows: list[ConditionRow], name: str, enabled: bool
) -> None:
    form = RuleForm(name, "liver-ct", ("pacs",), enabled=enabled, conditions=tuple(rows))
    assert read_form(write_form(BLOCK, replace(form, quiet_seconds="10"))) == replace(
        form, quiet_seconds="10"
    )
