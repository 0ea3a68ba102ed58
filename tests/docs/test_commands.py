"""README or handbook name every command, and the help of each command has an example."""

import re
import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.support.guides.commands import GUIDES
from tests.support.whole_command_line import app

TEXT = "".join(guide.read_text(encoding="utf-8") for guide in GUIDES)
GROUPS = {
    "jobs": ["list", "show", "start", "retry", "redirect", "discard", "export"],
    "queue": ["list", "pause", "resume"],
    "series": ["list"],
    "tokens": ["list", "create", "revoke"],
    "audit": ["list", "verify", "export"],
    "users": ["list", "add", "role", "disable", "enable", "reset"],
    "store": ["verify", "repair", "delete"],
    "worklist": ["list", "show", "cancel"],
    "alerts": ["list", "test"],
    "rules": ["compare"],
    "viewer": ["install"],
    "models": ["list", "show", "agreement"],
    "feedback": ["list", "export"],
    "config": ["list", "show", "diff", "set", "import", "export", "rollback"],
    "connections": ["test", "rejected"],
}
TOP = sorted(set(get_command(app).commands) - set(GROUPS))  # type: ignore[attr-defined]
COMMANDS = [[name] for name in TOP]
COMMANDS += [[group, name] for group, names in GROUPS.items() for name in names]


def help_of(*command: str) -> str:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    assert f"Example: segnode {' '.join(command)}" in help_of(*command)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_example_uses_options_that_exist(command: list[str]) -> None:
    text = help_of(*command)
    example = re.search(r"Example: (segnode .*)", text)
    assert example is not None
    options = [word for word in shlex.split(example[1].strip(" │")) if word.startswith("--")]
    described = text.replace(example[0], "")
    assert all(option in described for option in options)


def test_the_guides_name_every_command() -> None:
    missing = [" ".join(c) for c in COMMANDS if f"segnode {' '.join(c)}" not in TEXT]
    assert not missing
