"""The tests that the conformance statement and CONTRIBUTING.md name exist."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.conformance_statement import TEXT

ROOT = Path(__file__).parents[2]


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [TEXT, CONTRIBUTING], ids=["conformance", "contributing"])
def test_every_test_that_a_document_names_exists(text: str) -> None:
    named = defaultdict(set)
    for file, function in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        named[file].add(function)
    assert named
    for file, functions in named.items():
        module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        assert functions - {""} <= defined, file


def test_each_row_that_is_met_names_a_test() -> None:
    rows = re.findall(r"^\|.*\| yes \|.*\| ([^|]*) \|$", TEXT, re.MULTILINE)
    assert len(rows) > 30
    assert all(re.fullmatch(r"`tests/[\w/]+\.py::\w+`", row) for row in rows)
