"""Translation of a pattern and a text for RE2, which keeps the meaning that Python's `re` defines.

Each character of the text becomes a unit of three: a mark, the character, and the mark again. The
mark is the class of the character by Python's definition, see `_mark`. RE2 then needs no definition
of its own: `\\d` is a unit with a certain mark. A word boundary lies between two marks, which are
ASCII characters, for which RE2 and Python agree. Every expression consumes whole units.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as sre  # private: the parser's vocabulary
from re import _parser as sre_parser  # private: Python's own parser
from typing import Any

_DIGIT, _WORD, _SPACE, _NEWLINE, _OTHER = "0", "a", " ", "\n", "!"
_MARKS = frozenset((_DIGIT, _WORD, _SPACE, _NEWLINE, _OTHER))
# Characters above this have no case; a test compares it with `unicodedata`.
_LAST_CASED = 0x1E943
_REPLACEMENT = "\ufffd"
_LOOK_AROUND = (
    "holds a look-around, such as (?=...) or (?!...), for which no fast search exists: write a "
    "second condition instead, such as { not = { attribute = ..., matches = ... } } for (?!...)"
)
_REFERENCE = (
    "refers back to a group, as by \\1 or (?P=name), for which no fast search exists: write out "
    "what may follow, such as (aa|bb)"
)
_POSSESSIVE = (
    "holds a possessive repetition or an atomic group, such as a++ or (?>...), for which no fast "
    "search exists: leave out the additional + or the >"
)
_SCOPED_ASCII = "sets (?a:...) or (?u:...) in a part of the pattern: write (?a) at its start"
_UNSUPPORTED = {
    sre.ASSERT: _LOOK_AROUND,
    sre.ASSERT_NOT: _LOOK_AROUND,
    sre.FAILURE: _LOOK_AROUND,  # (?!)
    sre.GROUPREF: _REFERENCE,
    sre.GROUPREF_EXISTS: _REFERENCE,
    sre.POSSESSIVE_REPEAT: _POSSESSIVE,
    sre.ATOMIC_GROUP: _POSSESSIVE,
}
_CATEGORIES = {
    sre.CATEGORY_DIGIT: frozenset(_DIGIT),
    sre.CATEGORY_NOT_DIGIT: _MARKS - {_DIGIT},
    sre.CATEGORY_WORD: frozenset((_DIGIT, _WORD)),
    sre.CATEGORY_NOT_WORD: _MARKS - {_DIGIT, _WORD},
    sre.CATEGORY_SPACE: frozenset((_SPACE, _NEWLINE)),
    sre.CATEGORY_NOT_SPACE: _MARKS - {_SPACE, _NEWLINE},
}
_POSITIONS = {
    sre.AT_BEGINNING: r"\A",
    sre.AT_BEGINNING_STRING: r"\A",
    sre.AT_END: r"(?:\n\n\n)?\z",  # `$` also matches before a line break at the end
    sre.AT_END_STRING: r"\z",
    sre.AT_BOUNDARY: r"\b",
    sre.AT_NON_BOUNDARY: r"\B",
}
_NOTHING = r"\z."  # matches nowhere
_POSITIONS_IN_LINES = {sre.AT_BEGINNING: "(?m:^)", sre.AT_END: "(?m:$)"}

_Ranges = list[tuple[int, int]]  # code points, both ends included


class InvalidPattern(ValueError):
    """The text is no regular expression."""


class UnsupportedPattern(ValueError):
    """The expression has no linear-time search; the message says what to write instead."""


@dataclass(frozen=True)
class Translation:
    """An expression for RE2, to be searched in texts encoded by `encoded_text`."""

    expression: str
    ascii_only: bool  # `\\d`, `\\w`, `\\s` and `\\b` know ASCII alone, as (?a) requests


def translate(pattern: str) -> Translation:
    """Translates a pattern.

    Raises:
        InvalidPattern: it is no regular expression.
        UnsupportedPattern: it holds what has no linear-time search.
    """
    try:
        tree = sre_parser.parse(pattern)
        flags = tree.state.flags
        # A search starts at the beginning, so that it cannot start inside a unit.
        expression = rf"\A(?:...)*?(?:{_sequence(tree, flags)})"
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidPattern(str(error)) from error
    return Translation(expression, bool(flags & re.ASCII))


def encoded_text(text: str, ascii_only: bool) -> str:
    """Returns the text in units; half a surrogate pair becomes the replacement character."""
    return text.translate(_ASCII_UNITS if ascii_only else _UNITS)


class _Units:
    """The unit of each code point."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._ascii_only = ascii_only

    def __getitem__(self, code_point: int) -> str:
        if 0xD800 <= code_point <= 0xDFFF:
            return f"{_OTHER}{_REPLACEMENT}{_OTHER}"
        character = chr(code_point)
        is_known = not self._ascii_only or character in _KNOWN_TO_ASCII_ONLY
        mark = _mark(character) if is_known else _OTHER
        return f"{mark}{character}{mark}"


# With (?a), `re` takes the separators 1C to 1F for no spaces.
_KNOWN_TO_ASCII_ONLY = frozenset(map(chr, {*range(128)} - {*range(0x1C, 0x20)}))
_UNITS, _ASCII_UNITS = _Units(ascii_only=False), _Units(ascii_only=True)


def _mark(character: str) -> str:
    """Returns the class of a character, as `re` defines `\\d`, `\\w` and `\\s`."""
    if character == "\n":
        return _NEWLINE
    if character.isdecimal():
        return _DIGIT
    if character.isalnum() or character == "_":
        return _WORD
    return _SPACE if character.isspace() else _OTHER


def _sequence(items: Iterable[tuple[Any, Any]], flags: int) -> str:
    return "".join(_item(operator, argument, flags) for operator, argument in items)


def _item(operator: Any, argument: Any, flags: int) -> str:
    """Translates one node of the tree of Python's parser."""
    if operator in _UNSUPPORTED:
        raise UnsupportedPattern(_UNSUPPORTED[operator])
    match operator:
        case sre.LITERAL | sre.NOT_LITERAL:
            character = [(argument, argument)]
            translated = _unit(frozenset(), character, operator == sre.LITERAL, flags)
        case sre.IN:
            translated = _class(argument, flags)
        case sre.ANY:
            translated = "..." if flags & re.DOTALL else r"[^\n].."
        case sre.AT:
            in_lines = _POSITIONS_IN_LINES if flags & re.MULTILINE else {}
            translated = in_lines.get(argument) or _POSITIONS[argument]
        case sre.BRANCH:
            branches = "|".join(_sequence(branch, flags) for branch in argument[1])
            translated = f"(?:{branches})"
        case sre.SUBPATTERN:
            translated = _group(argument, flags)
        case sre.MAX_REPEAT | sre.MIN_REPEAT:
            low, high, inner = argument
            limit = "" if high == sre.MAXREPEAT else high
            translated = f"(?:{_sequence(inner, flags)}){{{low},{limit}}}"
        case _:
            raise UnsupportedPattern(f"holds what the node does not know ({operator})")
    return translated


def _group(group: Any, flags: int) -> str:
    """Translates a group, which may set flags for what it encloses."""
    _, added, removed, inner = group
    if (added | removed) & (re.ASCII | re.UNICODE):
        raise UnsupportedPattern(_SCOPED_ASCII)
    return f"(?:{_sequence(inner, (flags | added) & ~removed)})"


def _class(items: Iterable[tuple[Any, Any]], flags: int) -> str:
    """Translates a set of characters, such as `[^a-z\\d]`."""
    marks: frozenset[str] = frozenset()
    ranges: _Ranges = []
    contains = True
    for operator, argument in items:
        match operator:
            case sre.NEGATE:
                contains = False
            case sre.LITERAL:
                ranges.append((argument, argument))
            case sre.RANGE:
                ranges.append(argument)
            case _:
                marks |= _CATEGORIES[argument]
    return _unit(marks, ranges, contains, flags)


def _unit(marks: frozenset[str], ranges: _Ranges, contains: bool, flags: int) -> str:
    """Returns an expression for one unit whose mark or character is among these, or is not."""
    if ranges and flags & re.IGNORECASE:
        ranges = ranges + list(_other_cases(tuple(ranges), bool(flags & re.ASCII)))
    others = _MARKS - marks
    if contains:
        choices = [f"{_set(_points(marks))}.."] if marks else []
        choices += [f".{_set(ranges)}."] if ranges else []
        return f"(?:{'|'.join(choices)})"
    if not others:
        return _NOTHING
    character = _set(ranges, "^") if ranges else "."
    return f"{_set(_points(others))}{character}."


def _points(characters: Iterable[str]) -> _Ranges:
    return [(ord(character), ord(character)) for character in sorted(characters)]


def _set(ranges: _Ranges, negation: str = "") -> str:
    """Returns a set of characters in the syntax of RE2."""
    members = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in ranges)
    return f"[{negation}{members}]"


@lru_cache(maxsize=256)
def _other_cases(ranges: tuple[tuple[int, int], ...], ascii_only: bool) -> _Ranges:
    """Returns the characters that Python takes for one of these where it ignores case."""
    members = "".join(rf"\U{low:08x}-\U{high:08x}" for low, high in ranges)
    found = re.findall(f"[{members}]", _cased(), re.IGNORECASE | (re.ASCII if ascii_only else 0))
    return _points(found)


@lru_cache(maxsize=1)
def _cased() -> str:
    """Returns every character that has another case."""
    characters = map(chr, range(_LAST_CASED + 1))
    return "".join(c for c in characters if c.lower() != c or c.upper() != c)
