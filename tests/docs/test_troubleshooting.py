"""Every message and event that the guides of troubleshooting quote is in the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "troubleshooting.md").read_text(encoding="utf-8")
ANYTHING = "…"
# The first cell of a row is a quoted message, except in tables about events.
MESSAGES = [
    text
    for text in re.findall(r"^\| `([^`]+)` \|", GUIDE, re.MULTILINE)
    if not re.fullmatch(r"[a-z_]+\.[a-z_]+", text)
]
EVENTS = [
    event
    for cell in re.findall(r"^\| ((?:`[a-z_]+\.[a-z_]+`(?:, )?)+) \|", GUIDE, re.MULTILINE)
    for event in re.findall(r"`([^`]+)`", cell)
]


def template_of(node: ast.AST) -> str | None:
    """The text of a literal, in which the ellipsis stands for each value."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"\{[a-z_]+\}", ANYTHING, text)
        case ast.JoinedStr(values=parts):
            texts = (p.value if isinstance(p, ast.Constant) else ANYTHING for p in parts)
            return "".join(map(str, texts))
        case _:
            return None


@cache
def nodes() -> tuple[ast.AST, ...]:
    """What the syntax trees of the code consist of."""
    files = [
        file for package in ("node", "pacs_listener") for file in (ROOT / package).rglob("*.py")
    ]
    return tuple(
        node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    )


@cache
def templates() -> frozenset[str]:
    """The literals of the code."""
    return frozenset(text for node in nodes() if (text := template_of(node)) is not None)


def warnings() -> Iterator[str]:
    """The events that the code logs at warning or above."""
    for node in nodes():
        match node:
            case ast.Call(
                func=ast.Attribute(attr="warning" | "error" | "exception" | "critical"),
                args=[ast.Constant(value=str(event)), *_],
            ) if re.fullmatch(r"[a-z_]+\.[a-z_]+", event):
                yield event


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_in_the_code(message: str) -> None:
    wanted = message.strip(ANYTHING)
    assert any(wanted in text for text in templates())


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_in_the_code(event: str) -> None:
    assert event in templates()


def test_each_event_at_warning_or_above_is_in_the_guide() -> None:
    # One test, because parameters would have every test process read all the code as it starts.
    assert set(warnings()) - set(EVENTS) == set()


def test_the_guide_quotes_messages_and_events() -> None:
    assert len(MESSAGES) > 30
    assert len(EVENTS) > 10
