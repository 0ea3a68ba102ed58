"""Changes single settings in a TOML text; comments, order and all other bytes stay as they are."""

import copy
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.configuration.toml_layout import Layout, Pair, Path, Section
from node.domain.errors import NodeError

TomlValue = str | bool | int | float | Sequence[str]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class CannotEdit(NodeError):
    """The text is valid, and its form does not allow this change without rewriting more of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{'.'.join(path)} is written in a form that cannot be changed here: edit the text of "
            "the configuration"
        )


def set_values(text: str, path: Path, values: Mapping[str, TomlValue | None]) -> str:
    """Returns the text with these keys in the table `path`; a key with None is removed.

    The table is added if it is missing. Keys that `values` does not name stay.

    Raises:
        CannotEdit: the text has the table in a form that this does not change.
        ValueError: the text is not valid TOML.
    """
    expected = tomllib.loads(text)
    table = expected
    for part in path:
        table = table.setdefault(part, {})
    edited = text
    given = {key: value for key, value in values.items() if value is not None}
    if not _has_table(Layout.of(text), path):
        edited = _add_table(text, path, given) if given else text
    else:
        for key, value in values.items():
            edited = _set(edited, path, key, value)
    for key, value in values.items():
        table.pop(key, None)
        if value is not None:
            table[key] = list(value) if isinstance(value, tuple | list) else value
    return _checked(edited, expected, path)


def remove_table(text: str, path: Path) -> str:
    """Returns the text without the table `path` and the tables in it.

    Raises:
        KeyError: there is no such table.
        CannotEdit: the text has the table in a form that this does not change.
        ValueError: the text is not valid TOML.
    """
    expected = tomllib.loads(text)
    around: dict[str, Any] = expected
    for part in path[:-1]:
        around = around[part]
    del around[path[-1]]
    layout = Layout.of(text)
    spans = [
        _lines_of(layout, section)
        for section in layout.sections
        if section.path[: len(path)] == path and section.path
    ]
    spans += [
        _span_of(layout, pair)
        for pair in _pairs_around(layout, path)
        if pair.inline is None or len(pair.path) == len(path)
    ]
    return _checked(_without(layout.content, spans), expected, path)


def toml_text(value: TomlValue) -> str:
    """Returns the value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON string is a TOML string, but for one control character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case _:
            return f"[{', '.join(toml_text(item) for item in value)}]"


def _checked(edited: str, expected: Mapping[str, Any], path: Path) -> str:
    """Returns the edited text, once it is certain that it means what it should."""
    try:
        values = tomllib.loads(edited)
    except ValueError as error:
        raise CannotEdit(path) from error
    if _pruned(values) != _pruned(expected):
        raise CannotEdit(path)
    return edited


def _pruned(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values without empty tables, which mean the same as absent ones."""
    copied = copy.deepcopy(dict(values))
    for key, value in list(copied.items()):
        if isinstance(value, dict):
            copied[key] = _pruned(value)
            if not copied[key]:
                del copied[key]
    return copied


def _has_table(layout: Layout, path: Path) -> bool:
    return layout.section(path) is not None or bool(_pairs_around(layout, path))


def _pairs_around(layout: Layout, path: Path) -> list[Pair]:
    """Returns the pairs that define the table from a table around it."""
    length = len(path)
    return [
        pair
        for pair in layout.pairs
        if pair.path[:length] == path and pair.section[:length] != path
    ]


def _set(text: str, path: Path, key: str, value: TomlValue | None) -> str:
    layout = Layout.of(text)
    pair = layout.pair((*path, key))
    if value is None:
        return text if pair is None else _without(layout.content, [_span_of(layout, pair)])
    if pair is not None:
        return _replaced(layout, pair.value.start_byte, pair.value.end_byte, toml_text(value))
    written = f"{_key_text(key)} = {toml_text(value)}"
    section = layout.section(path)
    if section is not None:
        return _with_lines(layout, _last_line(layout, section), written)
    inline = layout.pair(path)
    if inline is not None:
        return _in_braces(layout, inline, written)
    # Dotted keys, such as `peers.ct1.port = 104`.
    dotted = [pair for pair in _pairs_around(layout, path) if pair.inline is None]
    if not dotted:
        raise CannotEdit(path)
    last = dotted[-1]
    prefix = ".".join(map(_key_text, path[len(last.section) :]))
    return _with_lines(layout, layout.line_end(last.node.end_byte - 1), f"{prefix}.{written}")


def _add_table(text: str, path: Path, values: Mapping[str, TomlValue]) -> str:
    layout = Layout.of(text)
    pairs = [f"{_key_text(key)} = {toml_text(value)}" for key, value in values.items()]
    inline = layout.pair(path[:-1]) if len(path) > 1 else None
    if inline is not None:
        return _in_braces(layout, inline, f"{_key_text(path[-1])} = {{ {', '.join(pairs)} }}")
    header = f"[{'.'.join(map(_key_text, path))}]"
    related = [s for s in layout.sections if s.path[:1] == path[:1] and not s.is_array_element]
    end = layout.section_end(related[-1]) if related else len(layout.content)
    newline = _newline(layout)
    lines = newline.join([header, *pairs])
    before = layout.content[:end].decode("utf-8")
    after = layout.content[end:].decode("utf-8")
    gap = "" if not before else newline if before.endswith("\n") else newline * 2
    # The empty line before whatever followed stays before it.
    return f"{before}{gap}{lines}{newline}{after}"


@dataclass(frozen=True)
class _Span:
    """Bytes to remove."""

    start: int
    end: int


def _lines_of(layout: Layout, section: Section) -> _Span:
    """Returns the lines of a section, with an empty line that would remain beside another one."""
    start, end = layout.line_start(section.start), layout.section_end(section)
    follows_empty = start == 0 or layout.content[:start].endswith((b"\n\n", b"\n\r\n"))
    if follows_empty and not layout.content[end : layout.line_end(end)].strip():
        end = layout.line_end(end)
    return _Span(start, end)


def _span_of(layout: Layout, pair: Pair) -> _Span:
    """Returns the lines of a pair, or the pair with a comma in a table in braces."""
    if pair.inline is None:
        start = layout.line_start(pair.node.start_byte)
        return _Span(start, layout.line_end(pair.node.end_byte - 1))
    children = pair.inline.children
    at = children.index(pair.node)
    if children[at + 1].type == ",":
        return _Span(pair.node.start_byte, children[at + 2].start_byte)
    if children[at - 1].type == ",":
        return _Span(children[at - 1].start_byte, pair.node.end_byte)
    return _Span(pair.node.start_byte, pair.node.end_byte)


def _without(content: bytes, spans: Sequence[_Span]) -> str:
    kept, position = b"", 0
    for span in sorted(spans, key=lambda span: span.start):
        kept += content[position : span.start]
        position = max(position, span.end)
    return (kept + content[position:]).decode("utf-8")


def _replaced(layout: Layout, start: int, end: int, text: str) -> str:
    content = layout.content
    return (content[:start] + text.encode("utf-8") + content[end:]).decode("utf-8")


def _in_braces(layout: Layout, pair: Pair, written: str) -> str:
    """Adds a key at the end of a table in braces."""
    if pair.value.type != "inline_table":
        raise CannotEdit(pair.path)
    inside = [child for child in pair.value.named_children if child.type == "pair"]
    if not inside:
        return _replaced(layout, pair.value.start_byte, pair.value.end_byte, f"{{ {written} }}")
    end = inside[-1].end_byte
    return _replaced(layout, end, end, f", {written}")


def _last_line(layout: Layout, section: Section) -> int:
    """Returns the end of the line of a section's last key, or of its header."""
    return layout.line_end(max(0, section.end - 1)) if section.end else 0


def _with_lines(layout: Layout, position: int, line: str) -> str:
    newline = _newline(layout)
    before = layout.content[:position]
    gap = newline if before and not before.endswith(b"\n") else ""
    return _replaced(layout, position, position, f"{gap}{line}{newline}")


def _newline(layout: Layout) -> str:
    return "\r\n" if b"\r\n" in layout.content else "\n"


def _key_text(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml_text(key)
