"""Files that are not valid TOML: the right line, and no text of the parser."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.settings.messages.toml_syntax import syntax_mistake
from tests.unit.settings.site import VALID, line_of, mistakes_in


@pytest.mark.parametrize(
    ("right", "wrong", "at", "message"),
    [
        ('"PACS"', '"PACS', '"PACS', "a text has no quotation mark at its end"),
        ('"PACS"', "'PACS", "'PACS", "a text has no quotation mark at its end"),
        ('"PACS"', '"""PACS', '"""PACS', "a text has no quotation mark at its end"),
        ('"PACS"', 'PACS"', 'PACS"', "a text needs quotation marks at both ends"),
        ('"PACS"', "PACS", "PACS", "a text needs quotation marks at both ends"),
        ('"PACS"', "", "ae_title =", "the value is missing or not valid"),
        ('"PACS"', "True", "True", "true and false have small letters"),
        ("4242", "0104", "0104", "has no zero before it"),
        ("4242", "4242;", "4242;", "something follows the value"),
        ('"data"', r'"C:\data"', "data_dir", "a backslash in quotation marks"),
        ('"data"', r'"C:\users"', "data_dir", "a backslash in quotation marks"),
        ('"data"', '"da\x01ta"', "data_dir", "a control character"),
        ("data_dir =", "data_dir:", "data_dir:", "a setting is written as name = value"),
        ("data_dir =", "data dir =", "data dir", "its name has no spaces"),
        ("data_dir", "data_dir = 1\ndata_dir", 'data_dir = "', "is there twice; the first is in"),
        ("[peers.pacs]", "[peers.pacs", "[peers.pacs", "the name of a table ends with ]"),
        ("[peers.pacs]", "[peers.my pacs]", "[peers.my", "needs quotation marks"),
        ("[peers.pacs]", "[destinations.pacs]", "[destinations.pacs]", "there twice; the first"),
        ('["pacs"]', '["pacs"', '["pacs"', "a list has no ] at its end"),
        ('["pacs"]', '["pacs",', '["pacs",', "a list has no ] at its end"),
        ('["pacs"]', '["pacs, "b"]', '["pacs, "b"]', "no comma between two items"),
        ('equals = "CT" }', 'equals = "CT"', "when =", "a table in { } stands on one line"),
        ('equals = "CT" }', 'equals = "CT", }', "when =", "none at its end"),
        ('equals = "CT" }', 'attribute = "A" }', "when =", "a setting is there twice between"),
        ("data_dir", "[[[broken\ndata_dir", "[[[broken", "one pair of brackets, as in [listener]"),
        ("data_dir", "[]\ndata_dir", "[]", "one pair of brackets, as in [listener]"),
        ("[peers.pacs]", "[peers.pacs]]", "[peers.pacs]]", "follows the name of a table"),
        ("[peers.pacs]", "[peers.pacs] PACS", "[peers.pacs] P", "follows the name of a table"),
        ("[peers.pacs]", "[peers.]", "[peers.]", "one pair of brackets, as in [listener]"),
        ("[peers.pacs]", "[peers.päcs]", "[peers.pä", "needs quotation marks"),
        ("data_dir =", "data. =", "data. =", "a setting is written as name = value"),
        ("when = {", "when = { ,", "when =", "a table in { } stands on one line"),
        ("data_dir", "// site\ndata_dir", "// site", "a comment with #"),
    ],
)
def test_a_mistake_has_its_line_and_plain_words(
    tmp_path: Path, right: str, wrong: str, at: str, message: str
) -> None:
    text = VALID.replace(right, wrong, 1)
    (mistake,) = mistakes_in(tmp_path, text)
    lines = [i for i, line in enumerate(text.splitlines(), start=1) if at in line]
    assert mistake.startswith(f"site.toml:{lines[-1]}: "), mistake
    assert message in mistake


@pytest.mark.parametrize(
    "text",
    [
        VALID.replace("[[rules]]", "[rules]") + VALID[VALID.index("[[rules]]") :],
        VALID + VALID[VALID.index("[[rules]]") :].replace("[[rules]]", "[rules]"),
        2 * VALID[VALID.index("[[rules]]") :].replace("[[rules]]", "[rules]"),
    ],
)
def test_rules_with_one_pair_of_brackets_are_named_in_their_line(tmp_path: Path, text: str) -> None:
    (mistake,) = mistakes_in(tmp_path, text)
    line = text.splitlines().index("[rules]") + 1
    assert mistake.startswith(f"site.toml:{line}: [rules] is written with one pair of brackets")


def test_a_list_over_several_lines_that_has_no_end_is_named_where_it_begins(
    tmp_path: Path,
) -> None:
    when = '[rules.when]\nall = [\n  { attribute = "Modality", equals = "CT" },\n[web]\nport = 1\n'
    text = VALID.replace('when = { attribute = "Modality", equals = "CT" }\n', when)
    (mistake,) = mistakes_in(tmp_path, text)
    assert mistake.startswith(f"site.toml:{line_of(text, 'all = [')}: a list has no ]")


@given(st.text(st.sampled_from("[]{}\"'=#,.\\\n ar1"), max_size=40))
@hypothesis_settings(max_examples=300, deadline=None)
def test_every_invalid_file_has_a_message_about_one_of_its_lines(content: str) -> None:
    try:
        tomllib.loads(content)
    except ValueError as error:
        mistake = syntax_mistake(str(error), content)
        assert mistake.line is not None
        assert 1 <= mistake.line <= content.count("\n") + 1
        assert mistake.message
