"""The tests that the conformance statement and CONTRIBUTING.md name exist."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.conformance_statement import TEXT, table_with_quotes

ROOT = Path(__file__).parents[2]


FAULTS = ROOT / "tests" / "faults"
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


@pytest.mark.parametrize("heading", ["Security function", "Attack", "Way"])
def test_each_row_of_the_security_chapter_names_a_test(heading: str) -> None:
    for row in table_with_quotes(heading):
        assert re.fullmatch(r"`tests/[\w/]+\.py::\w+`", row[-1]), row


def forms_of_fault_tests() -> dict[str, tuple[str, str]]:
    """For each module of fault tests, its forms with TLS and login, and without."""
    rows = re.findall(r"^\| `([\w/]+\.py)` \| (.+?) \| ?(.*?) ?\|$", CONTRIBUTING, re.MULTILINE)
    return {module: (secure, plain) for module, secure, plain in rows}


def test_the_table_of_forms_has_each_module_of_fault_tests() -> None:
    modules = {str(file.relative_to(FAULTS)) for file in FAULTS.rglob("test_*.py")}
    assert set(forms_of_fault_tests()) == modules


def test_the_soak_runs_the_plain_form_of_each_module_that_has_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    found = re.search(r"^PLAIN_SITES = (.*)$", makefile, re.MULTILINE)
    assert found is not None
    soaked = {name.removeprefix("tests/faults/") for name in found[1].split()}
    forms = forms_of_fault_tests()
    assert soaked == {module for module, (_, plain) in forms.items() if "soak" in plain}
    for module in soaked:
        assert "tls: TlsSite | None" in (FAULTS / module).read_text(encoding="utf-8"), module


def test_what_has_no_tls_has_no_listener_and_no_web_server() -> None:
    for module, (secure, _) in forms_of_fault_tests().items():
        if secure == "no network":
            text = (FAULTS / module).read_text(encoding="utf-8")
            assert not re.search("ListenerProcess|served_node|RunningNode|httpx", text), module
