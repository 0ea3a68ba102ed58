"""Secrets in the text of a configuration: refused in a new revision, removed from old ones.

Everybody who may see the configuration, a backup or the database sees the text of every revision.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.configuration.toml_edit import toml_text
from node.configuration.toml_layout import Layout
from node.domain.errors import Misconfigured
from node.settings.credentials.hidden import HIDDEN, SECRET_SETTINGS

# A setting that somebody has put behind a #. Without the #, such a key is an unknown setting.
_IN_COMMENT = re.compile(
    r"^(?P<key>(?:[\w.-]*_)?(?:password|token|secret|passphrase|api_key))"
    r"\s*=\s*(?P<value>\"[^\"]+\"|'[^']+')"
)
_COMMENT = re.compile(r"(?m)^[ \t]*#+[ \t]*(?P<text>.*)$")
# What replaces a secret.
_REPLACEMENT = toml_text(HIDDEN)


@dataclass(frozen=True)
class _LiteralSecret:
    """A value in quotation marks, from `start` to `end`; `message` says what to do."""

    key: str
    start: int
    end: int
    message: str


def refuse_literal_secrets(text: str, name: str) -> None:
    """Checks that a text holds no secret; messages call it `name`, and never show the secret.

    Raises:
        Misconfigured: it holds some; each on its own line, with its line number.
    """
    errors = [
        Misconfigured(
            each.message, file=Path(name), line=text.count("\n", 0, each.start) + 1, key=each.key
        )
        for each in _secrets_in(text)
    ]
    if errors:
        raise Misconfigured.combined(errors)


def without_literal_secrets(text: str) -> str:
    """Returns the text with each secret replaced by asterisks."""
    for each in reversed(list(_secrets_in(text))):
        text = text[: each.start] + _REPLACEMENT + text[each.end :]
    return text


def _secrets_in(text: str) -> Iterator[_LiteralSecret]:
    """Yields the secrets in the order of their keys in the text."""
    found = [*_secret_settings(text), *_secrets_in_comments(text)]
    yield from sorted(found, key=lambda each: each.start)


def _secret_settings(text: str) -> Iterator[_LiteralSecret]:
    layout = Layout.of(text)
    for path in SECRET_SETTINGS:
        pair = layout.pair(path)
        if pair is None:
            continue
        start, end = (
            len(layout.content[:position].decode("utf-8"))
            for position in (pair.value.start_byte, pair.value.end_byte)
        )
        if text[start:end] == _REPLACEMENT:
            continue
        message = (
            "everybody who knows this address may use it, so no revision may hold it: write it "
            f"into a file (chmod 600) and name that file in {path[-1]}_file, or a variable in "
            f"{path[-1]}_env; deploy/secrets.md explains it"
        )
        yield _LiteralSecret(".".join(path), start, end, message)


def _secrets_in_comments(text: str) -> Iterator[_LiteralSecret]:
    for comment in _COMMENT.finditer(text):
        found = _IN_COMMENT.match(comment["text"])
        if found is None or found["value"] == _REPLACEMENT:
            continue
        start, end = (comment.start("text") + at for at in found.span("value"))
        message = "a comment holds a secret, which everybody sees with the text: remove it"
        yield _LiteralSecret(found["key"], start, end, message)
