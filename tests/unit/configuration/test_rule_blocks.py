"""Rules in the text of a configuration: an edit of one leaves all else as it is."""

import tomllib
from pathlib import Path

import pytest

from node.configuration.rule_blocks import RuleBlocks
from node.configuration.toml_edit import CannotEdit

EXAMPLE = Path(__file__).parents[3] / "deploy" / "segnode.toml"
TEXT = """# The site.
data_dir = "data"

# Livers of adults.
[[rules]]
name = "liver"  # the first
[rules.when]
all = [
  { attribute = "Modality", equals = "CT" },
]

[[rules]]
name = "organs"
[[rules.when.any]]
at_least_slices = 20

# Where results go.
[destinations.pacs]
kind = "folder"
"""


def names(blocks: RuleBlocks) -> list[str]:
    return [rule["name"] for rule in tomllib.loads(blocks.text).get("rules", [])]


def test_a_block_is_a_rule_with_its_tables_and_its_short_comment() -> None:
    first, second = RuleBlocks.of(TEXT).blocks
    assert first.startswith("# Livers of adults.\n[[rules]]\n")
    assert first.endswith("]\n")
    assert second == '[[rules]]\nname = "organs"\n[[rules.when.any]]\nat_least_slices = 20\n'


@pytest.mark.parametrize("text", [TEXT, EXAMPLE.read_text(encoding="utf-8"), "", "a = 1"])
def test_division_keeps_every_byte(text: str) -> None:
    assert RuleBlocks.of(text).text == text


def test_the_long_comment_of_a_file_is_not_part_of_a_rule() -> None:
    (block,) = RuleBlocks.of(EXAMPLE.read_text(encoding="utf-8")).blocks
    assert block.startswith("[[rules]]")


def test_a_moved_rule_takes_its_comment_along() -> None:
    moved = RuleBlocks.of(TEXT).moved(0, 1)
    assert names(moved) == ["organs", "liver"]
    assert '# Livers of adults.\n[[rules]]\nname = "liver"  # the first' in moved.text
    assert moved.moved(1, 0).text == TEXT


def test_a_removed_rule_leaves_the_rest_as_it_is() -> None:
    removed = RuleBlocks.of(TEXT).removed(0)
    assert names(removed) == ["organs"]
    assert removed.text.startswith('# The site.\ndata_dir = "data"\n\n[[rules]]\nname = "organs"')
    assert removed.text.endswith('# Where results go.\n[destinations.pacs]\nkind = "folder"\n')


def test_a_rule_is_added_after_the_last_one() -> None:
    added = RuleBlocks.of(TEXT).added('[[rules]]\nname = "new"')
    assert names(added) == ["liver", "organs", "new"]
    assert tomllib.loads(added.text)["destinations"] == {"pacs": {"kind": "folder"}}


@pytest.mark.parametrize("text", ["", 'data_dir = "data"', 'data_dir = "data"\n'])
def test_the_first_rule_is_added_at_the_end(text: str) -> None:
    added = RuleBlocks.of(text).added('[[rules]]\nname = "new"')
    assert names(added) == ["new"]
    assert added.text.startswith(text)


def test_a_changed_rule_replaces_its_lines_alone() -> None:
    blocks = RuleBlocks.of(TEXT)
    changed = blocks.replaced(1, '[[rules]]\nname = "other"')
    assert names(changed) == ["liver", "other"]
    assert changed.text == TEXT.replace(blocks.blocks[1], '[[rules]]\nname = "other"\n')


def test_rules_in_one_list_cannot_be_divided() -> None:
    with pytest.raises(CannotEdit, match="edit the text"):
        RuleBlocks.of('rules = [{ name = "liver" }]\n')
