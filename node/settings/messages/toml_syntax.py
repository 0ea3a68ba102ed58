"""What is wrong with a file that is not valid TOML: the line, and words for an administrator."""

import re
from dataclasses import dataclass

# The end of a message of tomllib; an attribute has the position from Python 3.14 on.
_POSITION = re.compile(r" \(at (line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
# The beginning of a setting or table: inside a list, it shows that the list has no end.
_SETTING_OR_TABLE = re.compile(r"\s*([\w.\"'-]+\s*=|\[\[?[\w.\"' -]+\]\]?\s*(#.*)?$)")
_TABLE = re.compile(r"\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]")
_NO_END_OF_TEXT = "a text has no quotation mark at its end"
_NO_END_OF_LIST = (
    'a list has no ] at its end, or no comma between two items; write it as ["A", "B"]'
)
_INLINE_TABLE = (
    "a table in { } stands on one line, with a comma between two settings and none at its end"
)
_TABLE_NAME = (
    "the name of a table stands in one pair of brackets, as in [listener], or in two where there "
    "are several such tables, as in [[rules]]; a name with a special character needs quotation "
    'marks, as in [peers."CT 1"]'
)
_AFTER_TABLE_NAME = (
    "something follows the name of a table: [listener] or [[rules]] has a line of its own, where "
    "only a comment with # may follow"
)
_SETTING = "a setting is written as name = value; its name has no spaces"
_NO_KEY = "initial character for a key"
_TWICE = "{name} is there twice; the first is in line {first}"
_LIST_OF_TABLES = (
    "{name} is written with one pair of brackets here and elsewhere again; each of several rules "
    "or codes begins with two pairs, such as [[rules]]"
)
# The first whose pattern is found in a message of tomllib.
_MESSAGES = (
    (r"Illegal character '\\[rn]|Unterminated string|Expected [\"']['\"]+$", _NO_END_OF_TEXT),
    (r"Illegal character", "there is a control character here, which no text may have"),
    (
        r"Unescaped|Invalid hex|not a Unicode scalar",
        r"a backslash in quotation marks stands for a special character: write it twice, as in "
        r'"C:\\data", or use single quotation marks, as in ' + "'C:\\data'",
    ),
    (r"Unclosed array", _NO_END_OF_LIST),
    (r"Unclosed inline table", _INLINE_TABLE),
    (r"Duplicate inline table key", "a setting is there twice between { and }"),
    (
        r"Expected '\]",
        'the name of a table ends with ], or ]] after [[; a name with a space or another special '
        'character needs quotation marks, as in [peers."CT 1"]',
    ),
    (r"Expected '='", _SETTING),
    (
        r"Expected newline",
        "something follows the value: each setting has its own line, a text needs quotation marks, "
        "a number is written as 0.5 and has no zero before it, and a comment begins with #",
    ),
    (
        r"Invalid date",
        "there is no such date or time",
    ),
    (
        r"Invalid value",
        'the value is missing or not valid: a text needs quotation marks at both ends, as in '
        '"text"; true and false have small letters',
    ),
)  # fmt: skip
_OTHER = "expected a setting such as port = 104, a table such as [listener], or a comment with #"


@dataclass(frozen=True)
class SyntaxMistake:
    """A mistake; lines count from 1."""

    line: int | None
    message: str


@dataclass
class _Unclosed:
    """What is open at a position of the file: brackets with their lines, and a text."""

    brackets: list[tuple[str, int]]
    text_line: int | None


def syntax_mistake(message: str, content: str) -> SyntaxMistake:
    """Returns the mistake that makes `content` no valid TOML; `message` is that of tomllib."""
    position = _POSITION.search(message)
    lines = content.split("\n")
    line, column = len(content.rstrip().split("\n")), 1
    if position is not None:
        message = message[: position.start()]
        if position["line"]:
            line, column = int(position["line"]), int(position["column"])
        else:
            line, column = len(lines), len(lines[-1]) + 1
    if "twice" in message or "overwrite" in message or "immutable" in message:
        return _repeated(lines, line)
    before = "\n".join([*lines[: line - 1], lines[line - 1][: column - 1]])
    unclosed = _unclosed(before)
    if unclosed.text_line is not None and re.search(_MESSAGES[0][0], message):
        return SyntaxMistake(unclosed.text_line, _NO_END_OF_TEXT)
    at_end = position is not None and not position["line"]
    outer = next((opened for kind, opened in unclosed.brackets if kind == "["), line)
    if outer < line and (at_end or _SETTING_OR_TABLE.match(lines[line - 1])):
        return SyntaxMistake(outer, _NO_END_OF_LIST)
    if _NO_KEY in message:
        return SyntaxMistake(line, _expected_name(unclosed, lines[line - 1]))
    if "Expected newline" in message and _TABLE.match(lines[line - 1]):
        return SyntaxMistake(line, _AFTER_TABLE_NAME)
    known = (text for pattern, text in _MESSAGES if re.search(pattern, message))
    return SyntaxMistake(line, next(known, _OTHER))


def _expected_name(unclosed: _Unclosed, line: str) -> str:
    """Returns the form of what stands where `line` has no name of a setting or table."""
    if any(kind == "{" for kind, _ in unclosed.brackets):
        return _INLINE_TABLE
    return _TABLE_NAME if line.lstrip().startswith("[") else _SETTING


def _repeated(lines: list[str], line: int) -> SyntaxMistake:
    """Returns the mistake of a table or setting that is there for the second time."""
    if (header := _TABLE.match(lines[line - 1])) is None:
        name = lines[line - 1].partition("=")[0].strip()
        for first in range(line - 1, 0, -1):
            if lines[first - 1].partition("=")[0].strip() == name:
                return SyntaxMistake(line, _TWICE.format(name=name, first=first))
        return SyntaxMistake(line, f"{name} is set twice")
    name = header["name"]
    same = [
        number
        for number, text in enumerate(lines, start=1)
        if (other := _TABLE.match(text)) and other["name"] == name
    ]
    single = [number for number in same if not lines[number - 1].lstrip().startswith("[[")]
    if name == "rules" or len(single) < len(same):
        return SyntaxMistake(
            single[0] if single else line, _LIST_OF_TABLES.format(name=f"[{name}]")
        )
    first = min(same)
    if first == line:
        return SyntaxMistake(line, f"{name} is set elsewhere, as a value or in another table")
    return SyntaxMistake(line, _TWICE.format(name=f"[{name}]", first=first))


_TOKEN = re.compile(
    r'(?P<comment>#[^\n]*)|(?P<text>"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\[^\n]|[^"\\\n])*"|'
    r"'[^'\n]*')|(?P<unclosed>\"\"\"|'''|[\"'])|(?P<open>[\[{])|(?P<close>[\]}])",
    re.DOTALL,
)


def _unclosed(content: str) -> _Unclosed:
    """Returns what is open at the end of `content`."""
    open_brackets: list[tuple[str, int]] = []
    line, counted = 1, 0
    for token in _TOKEN.finditer(content):
        line += content.count("\n", counted, token.start())
        counted = token.start()
        match token.lastgroup:
            case "unclosed":
                return _Unclosed(open_brackets, line)
            case "open":
                open_brackets.append((token[0], line))
            case "close" if open_brackets:
                open_brackets.pop()
    return _Unclosed(open_brackets, None)
