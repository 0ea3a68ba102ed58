"""The rules in a TOML text, each as the lines that define it; edits keep all other bytes.

A block begins with the line `[[rules]]`. A short comment directly above that line belongs to it.
"""

from dataclasses import dataclass

from node.configuration.toml_edit import CannotEdit
from node.configuration.toml_layout import Layout, Path, Section

_RULES: Path = ("rules",)
# A longer comment explains the rules of the file, not the one below it.
_MAX_COMMENT_LINES = 5


@dataclass(frozen=True)
class RuleBlocks:
    """The text, divided into its rules and what lies before, between and after them."""

    blocks: tuple[str, ...]
    _gaps: tuple[str, ...]  # one more than blocks

    @classmethod
    def of(cls, text: str) -> "RuleBlocks":
        """Divides valid TOML.

        Raises:
            CannotEdit: the rules are not written as [[rules]].
        """
        layout = Layout.of(text)
        if any(pair.path == _RULES for pair in layout.pairs):
            raise CannotEdit(_RULES)
        blocks, gaps, position = [], [], 0
        for start, end in _spans(layout):
            gaps.append(layout.content[position:start].decode("utf-8"))
            blocks.append(layout.content[start:end].decode("utf-8"))
            position = end
        gaps.append(layout.content[position:].decode("utf-8"))
        return cls(tuple(blocks), tuple(gaps))

    @property
    def text(self) -> str:
        """The whole text."""
        parts = [self._gaps[0]]
        for block, gap in zip(self.blocks, self._gaps[1:], strict=True):
            parts += [block, gap]
        return "".join(parts)

    def has_same(self, others: "RuleBlocks", index: int) -> bool:
        """Whether both have a rule with this index, and its text is the same in both."""
        return self.blocks[index : index + 1] == others.blocks[index : index + 1] != ()

    def first_line(self, index: int) -> int:
        """Returns the number of lines before a rule."""
        parts = [*zip(self._gaps, self.blocks, strict=False)][:index]
        before = "".join(f"{gap}{block}" for gap, block in parts) + self._gaps[index]
        return before.count("\n")

    def replaced(self, index: int, block: str) -> "RuleBlocks":
        """Returns the rules with another text for one of them.

        Raises:
            IndexError: there is no such rule.
        """
        blocks = list(self.blocks)
        blocks[index] = _with_line_end(block)
        return RuleBlocks(tuple(blocks), self._gaps)

    def added(self, block: str) -> "RuleBlocks":
        """Returns the rules with another one after the last, at the end of the text without any."""
        gaps = list(self._gaps)
        if self.blocks:
            gaps.insert(len(self.blocks), "\n")
        else:
            before = _with_line_end(gaps[0]) if gaps[0] else ""
            gaps = [f"{before}\n" if before else "", ""]
        return RuleBlocks((*self.blocks, _with_line_end(block)), tuple(gaps))

    def removed(self, index: int) -> "RuleBlocks":
        """Returns the rules without one of them.

        Raises:
            IndexError: there is no such rule.
        """
        blocks, gaps = list(self.blocks), list(self._gaps)
        del blocks[index]
        before, after = gaps[index], gaps[index + 1]
        # One of the two empty lines around it is enough.
        if before.endswith("\n\n") and after.startswith("\n"):
            after = after[1:]
        gaps[index : index + 2] = [before + after]
        return RuleBlocks(tuple(blocks), tuple(gaps))

    def moved(self, index: int, to: int) -> "RuleBlocks":
        """Returns the rules with one of them at another position in their order.

        Raises:
            IndexError: there is no such rule or position.
        """
        if not 0 <= to < len(self.blocks):
            raise IndexError(to)
        blocks = list(self.blocks)
        blocks.insert(to, blocks.pop(index))
        return RuleBlocks(tuple(map(_with_line_end, blocks)), self._gaps)


def _spans(layout: Layout) -> list[tuple[int, int]]:
    """Returns the bytes of each rule, from its comment to the end of its last table."""
    spans: list[tuple[int, int]] = []
    is_open = False  # the table before this one belongs to a rule
    for section in layout.sections:
        if section.is_array_element and section.path == _RULES:
            floor = spans[-1][1] if spans else 0
            spans.append((_start(layout, section, floor), layout.section_end(section)))
            is_open = True
        elif section.path[:1] == _RULES and is_open:
            spans[-1] = (spans[-1][0], layout.section_end(section))
        elif section.path[:1] == _RULES:
            # A part of a rule that stands apart from it.
            raise CannotEdit(_RULES)
        elif section.path:
            is_open = False
    return spans


def _start(layout: Layout, section: Section, floor: int) -> int:
    """Returns where a short comment directly above the header begins, or the header's line."""
    header = start = layout.line_start(section.start)
    for _ in range(_MAX_COMMENT_LINES + 1):
        above = layout.line_start(start - 1) if start > floor else floor
        if not layout.content[above:start].lstrip().startswith(b"#"):
            return start
        start = above
    return header


def _with_line_end(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
