"""A pattern of a rule finds what Python's `re` finds, in every supported syntax."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from node.routing.pattern_translation import UnsupportedPattern
from node.routing.patterns import compile_pattern

# Letters with unusual cases (Turkish, Kelvin, long s, sharp s, sigma, titlecase), digits and spaces
# outside ASCII, a combining mark, a private and an astral character, line breaks and separators.
CHARACTERS = "abAB01_-. äÖßẞſsSkKK\u0130ıiIσςΣǅ٣²½\u00a0\u2028\u3000\u0301\ue000𝔞\n\r\t\x1c\x85"
texts = st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=8)
literals = st.sampled_from(CHARACTERS).map(re.escape)
categories = st.sampled_from([r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"])
members = st.one_of(
    literals,
    categories,
    st.sampled_from(["a-z", "A-Z", "0-9", "ä-ÿ", "α-ω", "\u0100-\uffff", "\\x00-\\x7f"]),
)
classes = st.builds(
    lambda negation, inner: f"[{negation}{''.join(inner)}]",
    st.sampled_from(["", "^"]),
    st.lists(members, min_size=1, max_size=3),
)
positions = st.sampled_from([r"\b", r"\B", "^", r"\A", r"\Z"])
atoms = st.one_of(literals, literals, categories, classes, st.just("."))
repetitions = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{,3}?"])


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Sequences, alternatives and repetitions of patterns."""
    return st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: f"(?:{'|'.join(each)})"),
        st.builds(lambda one: f"({one})", inner),
        st.builds("(?i:{})".format, inner),
        st.builds("(?-i:{})".format, inner),
        st.builds("(?s:{})".format, inner),
        st.builds("(?m:{})".format, inner),
        st.builds("{}{}".format, atoms, repetitions),
    )


patterns = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "(?i)", "(?a)", "(?m)", "(?s)", "(?ia)"]),
    st.recursive(st.one_of(atoms, positions), compound, max_leaves=6),
    st.sampled_from(["", "", "$"]),
)


@settings(max_examples=1500, deadline=None)
@given(patterns, st.lists(texts, min_size=1, max_size=4))
def test_a_pattern_finds_what_python_finds(pattern: str, searched: list[str]) -> None:
    compiled = compile_pattern(pattern)
    assert [compiled.is_in(text) for text in searched] == [
        re.search(pattern, text) is not None for text in searched
    ]


# `re` warns of syntax that it reserves for sets, such as [a--b].
@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab()[]{}*+?|\\^$.,:=!<>-P1i#d", max_size=10))
def test_any_text_is_a_pattern_or_refused_as_by_python(text: str) -> None:
    try:
        re.compile(text)
        is_valid = True
    except (re.error, OverflowError):
        is_valid = False
    try:
        compile_pattern(text)
    except UnsupportedPattern:
        assume(is_valid)
    except ValueError:
        assert not is_valid
    else:
        assert is_valid
