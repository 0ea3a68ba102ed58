"""Patterns of rules: searched in linear time, with the meaning that Python's `re` gives them."""

import re
import sys

import pytest

from node.routing.condition_parsing import InvalidCondition, parse_condition
from node.routing.pattern_translation import InvalidPattern, UnsupportedPattern
from node.routing.patterns import compile_pattern
from node.routing.series_facts import SeriesFacts


# By `re`, the first takes longer than the age of the universe.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a+)+$", "a" * 2000 + "!"),
        (r"(a|aa)+$", "a" * 2000 + "!"),
        (r"(.*a){20}$", "a" * 2000 + "!"),
        (r"^(\w+\s?)*$", "a " * 2000 + "!"),
        (r"(?i)(A*)*\b!!", "a" * 2000 + "!"),
    ],
)
def test_no_pattern_and_text_of_a_sender_stop_the_worker(pattern: str, text: str) -> None:
    condition = parse_condition({"attribute": "SeriesDescription", "matches": pattern}, ())
    assert not condition.evaluate(SeriesFacts({"SeriesDescription": (text,)}, 1, "CT1")).held
    assert compile_pattern(pattern.rstrip("$!")).is_in(text)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\bÜbersicht\b", "CT-Übersicht", True),
        (r"\bKopf", "äKopf", False),
        (r"Leber\b", "Leberödem", False),
        (r"^\w+$", "Schädel", True),
        (r"\d", "٣", True),
        (r"(?a)\d", "٣", False),
        (r"(?i)ÖDEM", "ödem", True),
        (r"(?i)i", "\u0130", True),
        (r"a$", "a\n", True),
        (r"a\Z", "a\n", False),
        (r"(?m)^b$", "a\nb\nc", True),
        (r"a.b", "a\nb", False),
        (r"(?s)a.b", "a\nb", True),
        (r"(?x) a b  # a comment", "ab", True),
        (r"[^\W\d_]", "12_3", False),
        (r"x{3,}", "xx xxx", True),
    ],
)
def test_a_pattern_means_what_it_means_in_python(pattern: str, text: str, found: bool) -> None:
    assert compile_pattern(pattern).is_in(text) is found
    assert (re.search(pattern, text) is not None) is found


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("abd(?=omen)", "look-around.*second condition"),
        ("^(?!.*scout)", "look-around.*second condition"),
        ("(?<=CT )abd", "look-around.*second condition"),
        ("(?<!non)contrast", "look-around.*second condition"),
        (r"(a|b)\1", "write out what may follow"),
        (r"(?P<x>a)(?P=x)", "write out what may follow"),
        (r"(a)?(?(1)b|c)", "write out what may follow"),
        ("a++b", "leave out the additional"),
        ("(?>a+)b", "leave out the additional"),
        ("(?a:a)", r"write \(\?a\) at its start"),
        ("a{1001}", "more than 1000 times"),
        ("(a{100}){100}", "more than 1000 times"),
    ],
)
def test_a_pattern_without_linear_time_search_is_refused_with_a_remedy(
    pattern: str, remedy: str
) -> None:
    with pytest.raises(UnsupportedPattern, match=remedy):
        compile_pattern(pattern)
    with pytest.raises(InvalidCondition, match=remedy):
        parse_condition({"attribute": "SeriesDescription", "matches": pattern}, ())


@pytest.mark.parametrize("pattern", ["(", "[", "*", "a{99999999999}", "(" * 5000 + ")" * 5000])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


def test_half_a_surrogate_pair_in_a_text_is_no_error() -> None:
    assert compile_pattern(r"^.\W!$").is_in("a\ud800!")


def test_equal_patterns_are_equal() -> None:
    assert compile_pattern("a") == compile_pattern("a") != compile_pattern("b")


def test_every_character_with_two_cases_is_known() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    found = compile_pattern("(?i)[^\U0001e900-\U0001e943]")
    beyond = every[0x1E944:]
    assert beyond.lower() == beyond.upper() == beyond
    assert not found.is_in("\U0001e922\U0001e900")
