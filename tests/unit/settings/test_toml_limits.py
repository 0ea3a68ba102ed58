"""A configuration of any content is parsed or refused: no content stops the node."""

from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.settings.toml_source import TomlSource

MANY = 100_000


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * MANY, "nested more than 64 levels"),
        ("a = " + "[" * 65 + "]" * 65, "nested more than 64 levels"),
        ("a = {" + "b={" * MANY, "nested more than 64 levels"),
        ("[" + ".".join("a" * 80) + "]\nb = 1", "nested more than 64 levels"),
        (".".join("a" * MANY) + " = 1", "more than 100 dots"),
        ('"a" . ' * MANY + "a = 1", "more than 100 dots"),
        ("[" + ".".join("a" * MANY) + "]", "more than 100 dots"),
        ("a = [\n" + "[],\n" * MANY, "no ] at its end"),
        ("a = ['" * MANY, "no quotation mark|something follows|no \\] at its end"),
        ("# " + "x" * (1 << 20), "is larger than 1 MiB"),
    ],
)
def test_what_would_take_the_parser_minutes_is_refused(text: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        TomlSource.parse(text.encode(), Path("site.toml"))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 62 + "1" + "]" * 62,
        'a = "' + "1.2." * 200 + '"',
        "# " + "." * 500,
        "a = [" + "'192.0.2.1', " * 200 + "]",
        ".".join("a" * 60) + " = 1",
    ],
)
def test_what_a_configuration_may_hold_is_parsed(text: str) -> None:
    assert (
        TomlSource.parse(text.encode(), Path("site.toml")).line(("a",)) == 1 or "a" not in text[:1]
    )
