"""An edited configuration means what it should, and keeps every other byte."""

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.configuration.toml_edit import CannotEdit, TomlValue, remove_table, set_values

NAMES = st.sampled_from(["pacs", "ct1", "a b", 'q"uote', "ümlaut", "1.2"])
KEYS = st.sampled_from(["ae_title", "host", "port", "objects", "x-y"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES: st.SearchStrategy[TomlValue] = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(TEXTS, max_size=3),
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)
SITES = st.dictionaries(NAMES, TABLES, max_size=4)


def quoted(key: str) -> str:
    return '"' + key.replace('"', '\\"') + '"'


def literal(value: TomlValue) -> str:
    """The value in another notation than that of the editor, where there is one."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = "".join(f"\\U{ord(c):08X}" for c in value)
            return f'"{escaped}"'
        case int() | float():
            return repr(value)
        case _:
            items = "".join(f"\n  {literal(item)}, # item" for item in value)
            return f"[{items}\n]"


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A configuration with comments everywhere, two kinds of tables, and rules after them."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines = ["# the site", "quiet_seconds = 5.0 # short", ""]
    for kind in ("peers", "destinations"):
        for name, table in draw(SITES).items():
            form = draw(st.sampled_from(["lines", "lines", "braces in section"]))
            if form == "lines" or not table:
                lines += [f"# about {kind}", f"[{kind}.{quoted(name)}] # header"]
                lines += [f"{quoted(key)}  =  {literal(v)} # of {key}" for key, v in table.items()]
                lines += draw(st.sampled_from([[""], ["# trailing", ""], [], ["", "# apart", ""]]))
            else:
                inner = ", ".join(
                    f"{quoted(key)} = {literal(v)}"
                    for key, v in table.items()
                    if not isinstance(v, list)
                )
                lines += [f"[{kind}.{quoted(name)}.nested]", f"in = {{ {inner} }} # braces", ""]
        lines += [f"# --- after {kind} ---", ""]
    lines += ["[[rules]]", 'name = "one"', "[rules.when]", "at_least_slices = 3 # few"]
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n# the end\n"]))
    return text.replace("\n", newline)


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    pruned = {k: without_empty(v) if isinstance(v, dict) else v for k, v in values.items()}
    return {k: v for k, v in pruned.items() if v != {}}


def is_subsequence(fewer: list[str], more: list[str]) -> bool:
    remaining = iter(more)
    return all(line in remaining for line in fewer)


@settings(max_examples=50, deadline=None)
@given(texts(), NAMES, st.dictionaries(KEYS, VALUES, min_size=1))
def test_a_changed_or_added_table_means_what_was_set(
    text: str, name: str, values: dict[str, TomlValue]
) -> None:
    edited = set_values(text, ("peers", name), values)
    expected = tomllib.loads(text)
    expected.setdefault("peers", {}).setdefault(name, {}).update(values)
    assert without_empty(tomllib.loads(edited)) == without_empty(expected)
    assert comments(text) <= comments(edited) | inside_replaced(text)


@settings(max_examples=50, deadline=None)
@given(texts(), TABLES.filter(bool))
def test_an_added_table_leaves_every_line_as_it_was(
    text: str, values: dict[str, TomlValue]
) -> None:
    edited = set_values(text, ("peers", "new"), values)
    assert is_subsequence(text.splitlines(keepends=False), edited.splitlines())
    assert ("\r\n" in text) == ("\r\n" in edited.replace("\r\r", "\r"))


@settings(max_examples=50, deadline=None)
@given(texts(), NAMES)
def test_a_removed_table_leaves_the_others_and_the_comments_around_it(text: str, name: str) -> None:
    before = tomllib.loads(text)
    if name not in before.get("destinations", {}):
        with pytest.raises(KeyError):
            remove_table(text, ("destinations", name))
        return
    edited = remove_table(text, ("destinations", name))
    del before["destinations"][name]
    assert without_empty(tomllib.loads(edited)) == without_empty(before)
    assert is_subsequence(edited.splitlines(), text.splitlines())
    kept = {"# the site", "# about destinations", "# --- after peers ---", "# apart"}
    for line in text.splitlines():
        if line.strip() in kept:
            assert line in edited.splitlines()


@settings(max_examples=50, deadline=None)
@given(texts(), NAMES, KEYS)
def test_a_removed_key_leaves_every_other_line(text: str, name: str, key: str) -> None:
    table = tomllib.loads(text).get("peers", {}).get(name)
    if table is None:
        return
    edited = set_values(text, ("peers", name), {key: None})
    table.pop(key, None)
    assert tomllib.loads(edited).get("peers", {}).get(name, {}) == table
    assert is_subsequence(edited.splitlines(), text.splitlines())


def comments(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip().startswith("#")}


def inside_replaced(text: str) -> set[str]:
    """Comments inside of lists, which are replaced with their list."""
    return {comment for comment in comments(text) if comment == "# item"}


def test_a_changed_value_changes_its_bytes_alone() -> None:
    text = '[peers.pacs]\nport  =  104   # the PACS\nhost = "a" # address\n'
    edited = set_values(text, ("peers", "pacs"), {"port": 4242, "host": "a"})
    assert edited == text.replace("104", "4242")


def test_a_new_key_follows_the_last_key_of_its_table() -> None:
    text = "[listener]\nport = 1\n# host = 2\n\n[web]\nport = 3\n"
    edited = set_values(text, ("listener",), {"ae_title": "NODE"})
    assert edited == '[listener]\nport = 1\nae_title = "NODE"\n# host = 2\n\n[web]\nport = 3\n'


def test_a_new_table_follows_its_kind_and_its_comments() -> None:
    text = "[peers.a]\nport = 1\n# retrieve = 2\n\n\n# --- Sources ---\n[sources.b]\nurl = 3\n"
    edited = set_values(text, ("peers", "c"), {"port": 2})
    assert edited == text.replace("# retrieve = 2\n", "# retrieve = 2\n\n[peers.c]\nport = 2\n")


def test_a_removed_table_takes_its_own_comments_along() -> None:
    text = "[a]\nx = 1\n\n[peers.a]\n# why\nport = 1 # what\n# more\n\n# --- Next ---\n[b]\ny = 2\n"
    assert remove_table(text, ("peers", "a")) == "[a]\nx = 1\n\n# --- Next ---\n[b]\ny = 2\n"


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("peers.a.port = 1\n", 'peers.a.port = 2\npeers.a.host = "h"\n'),
        ("[peers]\na.port = 1\n", '[peers]\na.port = 2\na.host = "h"\n'),
        ("peers = { a = { port = 1 } }\n", 'peers = { a = { port = 2, host = "h" } }\n'),
        ("[peers]\na = { port = 1 } # x\n", '[peers]\na = { port = 2, host = "h" } # x\n'),
        ("peers = {}\n", 'peers = { a = { port = 2, host = "h" } }\n'),
        ("", '[peers.a]\nport = 2\nhost = "h"\n'),
        ("x = 1", 'x = 1\n\n[peers.a]\nport = 2\nhost = "h"\n'),
    ],
)
def test_other_forms_of_a_table_are_changed_in_their_form(text: str, edited: str) -> None:
    assert set_values(text, ("peers", "a"), {"port": 2, "host": "h"}) == edited


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("peers.a.port = 1\nx = 2\n", "x = 2\n"),
        ("peers = { a = { port = 1 }, b = { port = 2 } }\n", "peers = { b = { port = 2 } }\n"),
        ("peers = { b = { port = 2 }, a = { port = 1 } }\n", "peers = { b = { port = 2 } }\n"),
        ("[peers]\na = { port = 1 } # x\nb.port = 2\n", "[peers]\nb.port = 2\n"),
        ("[peers.a]\nport = 1\n[[peers.a.codes]]\nc = 1\n[x]\ny = 1\n", "[x]\ny = 1\n"),
    ],
)
def test_other_forms_of_a_table_are_removed(text: str, edited: str) -> None:
    assert remove_table(text, ("peers", "a")) == edited


def test_a_form_that_cannot_be_changed_is_refused_with_advice() -> None:
    with pytest.raises(CannotEdit, match="edit the text"):
        set_values("peers = [1]\n", ("peers",), {"a": 1})
