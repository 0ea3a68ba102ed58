"""What a QIDO-RS search asks for (PS3.18 8.3.4), and whether a data set answers it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue

from node.domain.errors import Rejected, RejectionReason

# No archive has as many studies.
_FARTHEST = 1 << 40
# Beyond this a client has to page with limit and offset.
MOST_RESULTS = 10_000
_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGE_VRS = {"DA", "TM", "DT"}
_NAME_VR = "PN"
_UID_VR = "UI"
# Dates and times sort as text once both have the precision of the coarser one.
_RANGE = re.compile(r"(?P<first>[0-9.:]*)-(?P<last>[0-9.:]*)")


@dataclass(frozen=True)
class Filter:
    """An attribute, through sequences by their tags, and the value that it must match."""

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
    limit: int = MOST_RESULTS
    offset: int = 0

    def matches(self, dataset: Dataset) -> bool:
        """Whether the data set matches every filter."""
        return all(one.matches(dataset) for one in self.filters)

    @property
    def tags(self) -> frozenset[int]:
        """The attributes to be read beside those that are always told."""
        return self.include | {one.path[0] for one in self.filters}

    def uid(self, tag: int) -> str | None:
        """The one UID that the attribute must have, where the search says so."""
        for one in self.filters:
            if one.path == (tag,) and one.value and not set(one.value) & set(",\\*?"):
                return one.value
        return None


def search_from(parameters: Iterable[tuple[str, str]]) -> Search:
    """The search that a query string describes.

    Raises:
        Rejected: an attribute is unknown, or limit or offset no number.
    """
    filters: list[Filter] = []
    include: set[int] = set()
    include_all = False
    paging = {"limit": MOST_RESULTS, "offset": 0}
    for name, value in parameters:
        match name:
            case "limit" | "offset":
                paging[name] = _number(name, value)
            case "includefield":
                wanted = [one for one in value.split(",") if one]
                include_all = include_all or "all" in wanted
                include |= {_path(one)[0] for one in wanted if one != "all"}
            case "fuzzymatching" | "accept":
                continue
            case _:
                filters.append(Filter(_path(name), value))
    limit, offset = min(paging["limit"], MOST_RESULTS), min(paging["offset"], _FARTHEST)
    return Search(tuple(filters), frozenset(include), include_all, limit, offset)


def _number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise _invalid(f"{name} must be a number, not {value!r}")
    return int(value)


def _path(name: str) -> tuple[int, ...]:
    """The tags that an attribute's name stands for: `StudyDate`, `00080020`, `Sequence.Item`."""
    tags: list[int] = []
    for part in name.split("."):
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


def _matches(vr: str, actual: str, wanted: str) -> bool:
    if vr == _UID_VR:
        return actual in re.split(r"[,\\]", wanted)
    if vr in _RANGE_VRS and (asked := _RANGE.fullmatch(wanted)):
        return _within(actual, asked["first"], asked["last"])
    if vr == _NAME_VR:
        # Names match whatever their case, and without the empty components at the end.
        return _fits(actual.rstrip("^=").casefold(), wanted.rstrip("^").casefold())
    return _fits(actual, wanted)


def _fits(text: str, wanted: str) -> bool:
    """Whether `wanted` fits the text, with `*` for any characters and `?` for any one.

    In time proportional to the product of their lengths, whatever is asked: a regular expression
    would try every way to divide the text among several `*`.
    """
    at, of, star, resume = 0, 0, -1, 0
    while at < len(text):
        if of < len(wanted) and wanted[of] == "*":
            star, resume = of, at
            of += 1
        elif of < len(wanted) and wanted[of] in ("?", text[at]):
            at, of = at + 1, of + 1
        elif star >= 0:
            resume += 1
            at, of = resume, star + 1
        else:
            return False
    return wanted[of:].strip("*") == ""


def _within(actual: str, first: str, last: str) -> bool:
    after = not first or actual >= first
    before = not last or actual[: len(last)] <= last
    return bool(actual) and after and before


def _invalid(message: str) -> Rejected:
    return Rejected(RejectionReason.INVALID_INSTANCE, message)
