"""Templates of the site: what is accepted, and what the messages say."""

import re

import pytest

from node.domain.texts.result_texts import (
    DEFAULT_SERIES_DESCRIPTION,
    SeriesNumberRule,
    check_description_template,
)


@pytest.mark.parametrize(
    "template", [DEFAULT_SERIES_DESCRIPTION, "Segmentation, not for diagnostic use", "{object}"]
)
def test_a_valid_template_is_unchanged(template: str) -> None:
    assert check_description_template(template) == template


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{organ}", "there is no field {organ}; the fields are {organs}, {model}, {version}, "),
        ("{}", "there is no field {}"),
        ("{organs", "single brace"),
        ("{organs:>5}", "single brace"),
        ("", "must have 1 to 64 characters, and has 0"),
        ("   ", "must have 1 to 64 characters"),
        ("x" * 65, "must have 1 to 64 characters, and has 65"),
        ("{organs}" + "x" * 200, "must have 1 to 200 characters"),
        ("a\\b", "backslash"),
        ("{organs}\n", "line break"),
    ],
)
def test_an_invalid_template_is_explained(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_description_template(template)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (900, SeriesNumberRule(900, follows_source=False)),
        ("900", SeriesNumberRule(900, follows_source=False)),
        (0, SeriesNumberRule(0, follows_source=False)),
        ("900 + {source_number}", SeriesNumberRule()),
        ("5000 + {source_number}", SeriesNumberRule(5000)),
    ],
)
def test_a_series_number_is_fixed_or_follows_the_source(
    value: int | str, rule: SeriesNumberRule
) -> None:
    assert SeriesNumberRule.parse(value) == rule
    assert SeriesNumberRule.parse(str(rule)) == rule


@pytest.mark.parametrize("value", [-1, "nine", "900+{source_number}", "{source_number}", 2**31, ""])
def test_another_series_number_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError, match="must be"):
        SeriesNumberRule.parse(value)
