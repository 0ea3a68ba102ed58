"""The commands of `segnode`, as the command line defines them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from tests.support.whole_command_line import app


def find_command(words: Sequence[str]) -> tuple[Any, list[str]]:
    """Returns the command that the words name, and the words that remain.

    The classes of commands belong to the inner part of Typer. A group alone is a command, too.

    Raises:
        ValueError: there is no such command.
    """
    command: Any = get_command(app)
    remaining = list(words)
    while remaining and hasattr(command, "commands"):
        name = remaining.pop(0)
        if name not in command.commands:
            raise ValueError(f"{name} is no command")
        command = command.commands[name]
    return command, remaining


def parse(words: Sequence[str], folder: Path) -> None:
    """Parses the words after `segnode` as the command line does.

    Each file and folder that they name is replaced by one that exists, in `folder`.

    Raises:
        Exception: an option, a value or an argument does not fit the command.
    """
    file = folder / "segnode.toml"
    file.touch()
    command, remaining = find_command(words)
    existing = [
        str(file) if word.endswith(".toml") else str(folder) if "/" in word else word
        for word in remaining
    ]
    command.make_context(command.name, existing)


def options_of(words: Sequence[str]) -> set[str]:
    """Returns the options of the command that the words name."""
    command, _ = find_command(words)
    named = (o for parameter in command.params for o in parameter.opts + parameter.secondary_opts)
    return {"--help", *(option for option in named if option.startswith("-"))}
