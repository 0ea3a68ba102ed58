"""Where the tables and the keys of a TOML text are, in bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from node.settings.toml_source import keys_of

Path = tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A key with its value. `inline` is the table in braces around it, None in a table of lines."""

    path: Path
    section: Path
    node: Node
    value: Node
    inline: Node | None = None


@dataclass(frozen=True)
class Section:
    """A table of lines: `[path]`, or for an empty path the beginning of the text.

    `end` is the end of its last key, or of its header.
    """

    path: Path
    start: int
    end: int
    is_array_element: bool = False


@dataclass(frozen=True)
class Layout:
    """The sections in their order, and every pair outside of arrays of tables."""

    content: bytes
    sections: tuple[Section, ...]
    pairs: tuple[Pair, ...]

    @classmethod
    def of(cls, text: str) -> "Layout":
        """Returns the layout of valid TOML."""
        content = text.encode("utf-8")
        root = Parser(Language(tree_sitter_toml.language())).parse(content).root_node
        sections, pairs = [], list(_pairs(root, ()))
        sections.append(Section((), 0, pairs[-1].node.end_byte if pairs else 0))
        for node in root.named_children:
            if node.type in {"table", "table_array_element"}:
                header = node.named_children[0]
                path = tuple(map(str, keys_of(header)))
                own = list(_pairs(node, path))
                in_lines = [pair for pair in own if pair.inline is None]
                end = in_lines[-1].node.end_byte if in_lines else _header_end(node)
                is_element = node.type == "table_array_element"
                sections.append(Section(path, node.start_byte, end, is_element))
                pairs += [] if is_element else own
        return cls(content, tuple(sections), tuple(pairs))

    def pair(self, path: Path) -> Pair | None:
        """Returns the pair with that full path."""
        return next((pair for pair in self.pairs if pair.path == path), None)

    def section(self, path: Path) -> Section | None:
        """Returns the table of lines with that path."""
        matching = (s for s in self.sections if s.path == path and not s.is_array_element)
        return next(matching, None)

    def line_start(self, position: int) -> int:
        """Returns where the line of that byte begins."""
        return self.content.rfind(b"\n", 0, position) + 1

    def line_end(self, position: int) -> int:
        """Returns where the line of that byte ends, after its line feed."""
        end = self.content.find(b"\n", position)
        return len(self.content) if end < 0 else end + 1

    def section_end(self, section: Section) -> int:
        """Returns where the lines of a section end.

        Comments that follow its last key without an empty line belong to it, unless the next table
        follows them in the same way.
        """
        end = last = self.line_end(max(0, section.end - 1)) if section.end else 0
        while self.content[end : self.line_end(end)].lstrip().startswith(b"#"):
            end = self.line_end(end)
        following = self.content[end : self.line_end(end)].strip()
        return last if following else end


def _pairs(parent: Node, section: Path) -> Iterator[Pair]:
    for node in parent.named_children:
        if node.type == "pair":
            yield from _pair(node, section, section, None)


def _pair(node: Node, around: Path, section: Path, inline: Node | None) -> Iterator[Pair]:
    key, value = [child for child in node.named_children if child.type != "comment"]
    path = around + tuple(map(str, keys_of(key)))
    yield Pair(path, section, node, value, inline)
    if value.type == "inline_table":
        for child in value.named_children:
            if child.type == "pair":
                yield from _pair(child, path, section, value)


def _header_end(node: Node) -> int:
    """Returns the end of `[path]` and of a comment on its line."""
    on_line = [c for c in node.children if c.start_point.row == node.start_point.row]
    return on_line[-1].end_byte
