"""A TOML file with the line number of every key."""

import codecs
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from node.domain.errors import Misconfigured
from node.settings.messages.toml_syntax import syntax_mistake

# Larger than any configuration.
_MAX_BYTES = 1 << 20
# Each level takes the node some calls; Python allows about a thousand.
_MAX_NESTING = 64
_MAX_DOTS = 100
# A text in quotation marks, or a comment.
_TEXT_OR_COMMENT = re.compile(rb"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*")
_FIRST_TABLE = re.compile(rb"^[ \t]*\[", re.MULTILINE)
KeyPath = tuple[str | int, ...]
Lines = Iterator[tuple[KeyPath, int]]


@dataclass(frozen=True)
class TomlSource:
    """The values of a TOML file, and the line number (from 1) of each key and list item."""

    file: Path
    values: dict[str, Any]
    _lines: dict[KeyPath, int] = field(repr=False)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads and parses the file.

        Raises:
            Misconfigured: the file cannot be read, or is not valid TOML.
        """
        try:
            content = file.read_bytes()
        except OSError as error:
            raise Misconfigured(f"cannot be read: {error.strerror}", file=file) from error
        return cls.parse(content, file)

    @classmethod
    def read_before_tables(cls, file: Path) -> Self:
        """Reads the settings before the first table, whatever follows them.

        Raises:
            Misconfigured: as `read`, where these settings themselves are not valid TOML.
        """
        try:
            return cls.read(file)
        except Misconfigured as mistake:
            try:
                before = _FIRST_TABLE.split(file.read_bytes(), maxsplit=1)[0]
                return cls.parse(before, file)
            except (OSError, Misconfigured):
                raise mistake from None

    @classmethod
    def parse(cls, content: bytes, file: Path) -> Self:
        """Parses the content of `file`, which need not exist: mistakes name it.

        Raises:
            Misconfigured: the content is not valid TOML.
        """
        content = content.removeprefix(codecs.BOM_UTF8)
        _check_limits(content, file)
        try:
            values = tomllib.loads(content.decode("utf-8"))
            _check_nesting(values)
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise Misconfigured("is not UTF-8 here", file=file, line=line) from error
        except RecursionError as error:
            message = f"tables and lists are nested more than {_MAX_NESTING} levels deep"
            raise Misconfigured(message, file=file) from error
        except ValueError as error:
            found = syntax_mistake(str(error), content.decode("utf-8"))
            raise Misconfigured(found.message, file=file, line=found.line) from error
        tree = Parser(Language(tree_sitter_toml.language())).parse(content)
        return cls(file, values, _with_outer_tables(_lines_of_document(tree.root_node)))

    def line(self, path: KeyPath) -> int | None:
        """Returns the line of the key at `path`, or of the innermost table or list around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None


def _check_limits(content: bytes, file: Path) -> None:
    """Checks what the parser, which is quadratic in both, would need minutes for."""
    if len(content) > _MAX_BYTES:
        raise Misconfigured(f"is larger than {_MAX_BYTES >> 20} MiB", file=file)
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.count(b".") > _MAX_DOTS and _TEXT_OR_COMMENT.sub(b"", line).count(b".") > _MAX_DOTS:
            message = f"there are more than {_MAX_DOTS} dots outside quotation marks here"
            raise Misconfigured(message, file=file, line=number)


def _check_nesting(values: dict[str, Any]) -> None:
    """Checks, without recursion, how deeply values are nested.

    Raises:
        RecursionError: more than 64 levels.
    """
    level: list[Any] = [values]
    for _ in range(_MAX_NESTING):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return
        level = [
            inner
            for each in containers
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    raise RecursionError


def _with_outer_tables(lines: Lines) -> dict[KeyPath, int]:
    """Returns the lines with those of tables that a longer key opens: `[a.b]` opens `a`, too."""
    found: dict[KeyPath, int] = {}
    opened: dict[KeyPath, int] = {}
    for path, line in lines:
        found[path] = line
        for length in range(1, len(path)):
            opened.setdefault(path[:length], line)
    return opened | found


def _lines_of_document(root: Node) -> Lines:
    counts: dict[KeyPath, int] = {}  # array of tables -> number of elements so far
    for node in root.named_children:
        match node.type:
            case "pair":
                yield from _lines_of_pair(node, ())
            case "table" | "table_array_element":
                key = _indexed_path(keys_of(node.named_children[0]), counts)
                if node.type == "table_array_element":
                    counts[key] = counts.get(key, 0) + 1
                    yield key, _line_number(node)
                    key = (*key, counts[key] - 1)
                yield key, _line_number(node)
                for child in node.named_children[1:]:
                    if child.type == "pair":
                        yield from _lines_of_pair(child, key)


def _indexed_path(keys: KeyPath, counts: dict[KeyPath, int]) -> KeyPath:
    """Inserts the index of the current element after each array of tables in `keys`."""
    path: KeyPath = ()
    for i, key in enumerate(keys):
        path = (*path, key)
        if path in counts and i < len(keys) - 1:
            path = (*path, counts[path] - 1)
    return path


def _lines_of_pair(node: Node, parent: KeyPath) -> Lines:
    key, value = node.named_children[0], node.named_children[-1]
    path = (*parent, *keys_of(key))
    yield path, _line_number(node)
    yield from _lines_of_value(value, path)


def _lines_of_value(node: Node, path: KeyPath) -> Lines:
    if node.type == "inline_table":
        for child in node.named_children:
            if child.type == "pair":
                yield from _lines_of_pair(child, path)
    elif node.type == "array":
        items = [child for child in node.named_children if child.type != "comment"]
        for i, child in enumerate(items):
            yield (*path, i), _line_number(child)
            yield from _lines_of_value(child, (*path, i))


def keys_of(node: Node) -> KeyPath:
    """Splits a bare, quoted or dotted key into its parts."""
    if node.type == "dotted_key":
        return tuple(part for child in node.named_children for part in keys_of(child))
    text = (node.text or b"").decode("utf-8")
    if node.type == "quoted_key":
        # tomllib decodes the escape sequences.
        return (next(iter(tomllib.loads(f"{text} = 0"))),)
    return (text,)


def _line_number(node: Node) -> int:
    return node.start_point.row + 1
