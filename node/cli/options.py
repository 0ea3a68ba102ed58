"""Options that several commands share, and what the commands answer to wrong ones."""

import json
import os
import pwd
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from node.domain.texts.points_in_time import day, point_in_time

# What pydantic, which parses the values for typer, says, and the words for it.
_IN_PLAIN_WORDS = {
    "Value error, ": "",
    "Input should": "must",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    ", unable to parse string as an integer": "",
    ", unable to parse string as a number": "",
}

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SEGNODE_CONFIG",
        exists=True,
        dir_okay=False,
        help="Configuration file (TOML); without it, the built-in defaults apply.",
    ),
]


# For options whose parser is `time_option` or `date_option`.
TIME_METAVAR, DATE_METAVAR = "TIME", "DATE"
TIME_HELP = "a date, with a time and offset on request (UTC without), or how long ago: 12h, 3d"


def time_option(text: str) -> datetime:
    """Returns the time of an option; the command ends with a usage error if it is none."""
    try:
        return point_in_time(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def date_option(text: str) -> date:
    """Returns the date of an option; the command ends with a usage error if it is none."""
    try:
        return day(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def stated_reason(reason: str) -> str:
    """Returns the reason of an option; the command ends with a usage error if it is empty."""
    if not reason.strip():
        raise typer.BadParameter("say why: it is empty")
    return reason


def operating_system_user() -> str:
    """Returns the name of the user who runs the command; its number if it has no name.

    The environment, which that user can change, has no part in it.
    """
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def json_object(text: str, option: str) -> dict[str, object]:
    """Parses the value of `option`; the command ends with a usage error if it is not an object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} must be a JSON object")
    return value


class Commands(TyperGroup):
    """The commands; messages about a wrong value name it and what is allowed, in plain words."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            for words, plain in _IN_PLAIN_WORDS.items():
                error.message = error.message.replace(words, plain)
            raise
