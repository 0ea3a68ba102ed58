"""QIDO-RS search parameters (PS3.18 8.3.4) and attribute matching (PS3.4 C.2.2.2)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue

from node.domain.errors import Rejected, RejectionReason
from node.store.search.archive_search import Narrowing

# No archive has as many studies.
_MAX_OFFSET = 1 << 40
# The attributes by which the search index narrows a search.
_INDEXED = {
    (0x00080020,): "study_date",
    (0x00080050,): "accession_number",
    (0x00100020,): "patient_id",
    (0x00100010,): "patient_name",
    (0x00080060,): "modality",
    (0x0008103E,): "series_description",
    (0x00180015,): "body_part_examined",
}
# For more results than this a client pages with limit and offset.
MAX_RESULTS = 10_000
# A comparison takes the product of both lengths. Of longer texts, the start is compared; no text
# that people search by is as long.
_MAX_PATTERN = 256
_MAX_COMPARED = 10_240
# Deeper paths reach nothing: the node reads no object that is nested more deeply.
_MAX_PATH = 32
_MAX_DIGITS = 20  # more than any number of studies has
_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGE_VRS = {"DA", "TM", "DT"}
_NAME_VR = "PN"
_UID_VR = "UI"
# Dates and times compare as text once both have the precision of the coarser one.
_RANGE = re.compile(r"(?P<first>[0-9.:]*)-(?P<last>[0-9.:]*)")


@dataclass(frozen=True)
class Filter:
    """An attribute and the value that it must match; `path` has one tag for each sequence level."""

    path: tuple[int, ...]
    value: str

    def matches(self, dataset: Dataset) -> bool:
        """Whether one of the attribute's values matches; an empty value matches everything."""
        if self.value == "":
            return True
        vr = _vr(self.path[-1])
        return any(_matches(vr, actual, self.value) for actual in _values(dataset, self.path))


@dataclass(frozen=True)
class Search:
    """The parameters of a search."""

    filters: tuple[Filter, ...] = ()
    include: frozenset[int] = field(default_factory=frozenset)
    include_all: bool = False
    limit: int = MAX_RESULTS
    offset: int = 0

    def matches(self, dataset: Dataset) -> bool:
        """Whether the data set matches every filter."""
        return all(one.matches(dataset) for one in self.filters)

    @property
    def tags(self) -> frozenset[int]:
        """The attributes to read in addition to those that every result has."""
        return self.include | {one.path[0] for one in self.filters}

    def single_uid(self, tag: int) -> str | None:
        """Returns the one UID that the attribute must have; None for a list, wildcard or none."""
        for one in self.filters:
            if one.path == (tag,) and one.value and not set(one.value) & set(",\\*?"):
                return one.value
        return None

    @property
    def reads_files(self) -> bool:
        """Whether the files decide what matches."""
        return any(one.value for one in self.filters)

    @property
    def narrowing(self) -> Narrowing:
        """What the search index can compare before files are read."""
        values = {_INDEXED[one.path]: one.value for one in self.filters if one.path in _INDEXED}
        return Narrowing(**values)


def parse_search(parameters: Iterable[tuple[str, str]]) -> Search:
    """Parses the query parameters of a search.

    Raises:
        Rejected: an attribute is unknown, or limit or offset is not a number.
    """
    filters: list[Filter] = []
    include: set[int] = set()
    include_all = False
    paging = {"limit": MAX_RESULTS, "offset": 0}
    for name, value in parameters:
        match name:
            case "limit" | "offset":
                paging[name] = _parse_number(name, value)
            case "includefield":
                fields = [one for one in value.split(",") if one]
                include_all = include_all or "all" in fields
                include |= {_parse_path(one)[0] for one in fields if one != "all"}
            case "fuzzymatching" | "accept":
                continue
            case _:
                filters.append(_parse_filter(name, value))
    limit, offset = min(paging["limit"], MAX_RESULTS), min(paging["offset"], _MAX_OFFSET)
    return Search(tuple(filters), frozenset(include), include_all, limit, offset)


def _parse_number(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > _MAX_DIGITS:
        raise _invalid(f"{name} must be a number, not {value[:_MAX_DIGITS]!r}")
    return int(value)


def _parse_filter(name: str, value: str) -> Filter:
    one = Filter(_parse_path(name), value)
    if len(value) > _MAX_PATTERN and _vr(one.path[-1]) != _UID_VR:
        raise _invalid(f"a value has at most {_MAX_PATTERN} characters, and {name} has more")
    return one


def _parse_path(name: str) -> tuple[int, ...]:
    """Returns the tags of an attribute: `StudyDate`, `00080020`, `Sequence.Item`."""
    tags: list[int] = []
    parts = name.split(".")
    if len(parts) > _MAX_PATH:
        raise _invalid(f"an attribute lies in at most {_MAX_PATH - 1} sequences")
    for part in parts:
        tag = int(part, 16) if _HEX_TAG.fullmatch(part) else tag_for_keyword(part)
        if tag is None:
            raise _invalid(f"there is no DICOM attribute {part!r}")
        tags.append(tag)
    return tuple(tags)


def _vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:  # a private attribute
        return "LO"


def _values(dataset: Dataset, path: tuple[int, ...]) -> Iterator[str]:
    if path[0] not in dataset:
        return
    element = dataset[path[0]]
    if element.VR == "SQ":
        for item in element.value if len(path) > 1 else ():
            yield from _values(item, path[1:])
    elif isinstance(element.value, MultiValue):
        yield from (str(value).strip() for value in element.value)
    elif element.value is not None:
        yield str(element.value).strip()


def _matches(vr: str, actual: str, expected: str) -> bool:
    if vr == _UID_VR:
        return actual in re.split(r"[,\\]", expected)
    if vr in _RANGE_VRS and (limits := _RANGE.fullmatch(expected)):
        return _is_in_range(actual, limits["first"], limits["last"])
    if vr == _NAME_VR:
        # Name matching ignores case and empty trailing components.
        name = actual[:_MAX_COMPARED].rstrip("^=").casefold()
        pattern = expected.rstrip("^").casefold()
        return matches_wildcard(name, pattern)
    return matches_wildcard(actual[:_MAX_COMPARED], expected)


def matches_wildcard(text: str, pattern: str) -> bool:
    """Whether the text matches: `*` is any characters, `?` is one (PS3.4 C.2.2.2.4).

    Takes time proportional to the product of the lengths for every pattern. A regular expression
    would try every division of the text among several `*`.
    """
    at, pattern_at, star_at, restart_at = 0, 0, -1, 0
    while at < len(text):
        if pattern_at < len(pattern) and pattern[pattern_at] == "*":
            star_at, restart_at = pattern_at, at
            pattern_at += 1
        elif pattern_at < len(pattern) and pattern[pattern_at] in ("?", text[at]):
            at, pattern_at = at + 1, pattern_at + 1
        elif star_at >= 0:
            restart_at += 1
            at, pattern_at = restart_at, star_at + 1
        else:
            return False
    return pattern[pattern_at:].strip("*") == ""


def _is_in_range(actual: str, first: str, last: str) -> bool:
    after = not first or actual >= first
    before = not last or actual[: len(last)] <= last
    return bool(actual) and after and before


def _invalid(message: str) -> Rejected:
    return Rejected(RejectionReason.INVALID_REQUEST, message)
