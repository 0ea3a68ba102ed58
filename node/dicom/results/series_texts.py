"""The description, number and content label of the series of each result object."""

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.dicom.ct.headers import PARSE_ERRORS
from node.dicom.results.content import ResultContent
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from node.domain.series import SeriesPart
from node.domain.texts.result_texts import MAX_INTEGER_STRING, MAX_LONG_STRING, TEMPLATE_FIELD

_TITLES = {
    ResultKind.SEG: "Segmentation",
    ResultKind.SR: "Measurements",
    ResultKind.CAPTURE: "Overlay",
    ResultKind.SUMMARY: "Summary",
    ResultKind.PDF: "Report",
    ResultKind.RTSTRUCT: "Contours",
    ResultKind.NOTICE: "Not segmented",
}
# The position in this list sets an object's offset; new ones go to the end, so that none changes.
_NUMBERED_OBJECTS = (
    ResultObject(ResultKind.SEG),
    ResultObject(ResultKind.SR),
    ResultObject(ResultKind.CAPTURE),
    ResultObject(ResultKind.SUMMARY),
    ResultObject(ResultKind.PDF),
    ResultObject(ResultKind.RTSTRUCT),
    ResultObject(ResultKind.SEG, SegEncoding.SPARSE),
    ResultObject(ResultKind.SEG, SegEncoding.LABELMAP),
    ResultObject(ResultKind.SR, SegEncoding.SPARSE),
    ResultObject(ResultKind.SR, SegEncoding.LABELMAP),
    ResultObject(ResultKind.NOTICE),
)
# Source series are rarely numbered above 9000, so the numbers of two objects do not meet.
_OBJECT_STEP = 10_000
_MODEL_STEP = 1_000_000
# Apart from the steps of 20 models; an Integer String holds the sum for 64 parts.
_PART_STEP = 20_000_000
# What a description with a part leaves out first: every object has it in attributes of its own.
_OMITTED_FIRST = ("version", "model")
_MAX_LISTED_ORGANS = 3
_ORGANS_BEFORE_MORE = 2
_MAX_CODE_STRING = 16  # characters, PS3.5 6.2
_MISSING = "\0"  # stands for a word without a value; no template has this character
# A word of a template: opening brackets, a core, closing brackets and punctuation.
_WORD = re.compile(r"([(\[]*)(\S*?)([)\],.;:]*)(?=\s|$)")


def series_description(content: ResultContent, result_object: ResultObject) -> str:
    """Returns Series Description (0008,103E), PS3.3 C.7.3.1: at most 64 characters.

    A missing value takes the rest of its word with it. Objects other than the SEG begin with their
    title, and a result of a part of the series with that part, unless the template says where they
    go. Where that leaves no room for the description of the source, version and model are left
    out.
    """
    header = content.source.sources[0]
    title = _TITLES[result_object.kind]
    number = source_series_number(header)
    values = {
        "organs": _organs(content),
        "model": content.spec.model_id,
        "version": content.spec.version,
        "source_number": "" if number is None else str(number),
        "source_description": _text(header, "SeriesDescription"),
        "object": title,
        "part": part_title(content.source.part),
    }
    template = content.texts.series_description
    fields = TEMPLATE_FIELD.findall(template)
    if content.source.part is not None and "part" not in fields:
        template = f"{{part}}: {template}"
    if result_object.kind is not ResultKind.SEG and "object" not in fields:
        template = f"{{object}}: {template}"
    text = _fill(template, values)
    if content.source.part is None:
        return _cut(text)
    for field in _OMITTED_FIRST:
        if not _shows(text, values["source_description"]):
            values[field] = ""
            text = _fill(template, values)
    return _cut(text)


def series_number(content: ResultContent, result_object: ResultObject) -> int:
    """Returns Series Number (0020,0011), PS3.3 C.7.3.1.

    It is the site's fixed number, or its first number plus that of the source series, plus
    1,000,000 for each model before this one in `texts.models`. Each object after the SEG adds
    10,000, and each part of the series after the first 20,000,000. Where an Integer String cannot
    hold the sum, the number of the source does not count, and where it still cannot, the first
    number stands alone.
    """
    rule, models = content.texts.series_number, content.texts.models
    model_id = content.spec.model_id
    numbered = ResultObject.of(result_object.kind, result_object.encoding)
    number = rule.first + _OBJECT_STEP * _NUMBERED_OBJECTS.index(numbered)
    number += part_offset(content.source.part)
    source = 0
    if rule.follows_source:
        number += _MODEL_STEP * (models.index(model_id) if model_id in models else 0)
        source = source_series_number(content.source.sources[0]) or 0
    candidates = (number + source, number, rule.first)
    return next(each for each in candidates if each <= MAX_INTEGER_STRING)


def part_offset(part: SeriesPart | None) -> int:
    """Returns what a result of that part adds to its Series Number; 0 for a whole series."""
    return 0 if part is None else _PART_STEP * (part.number - 1)


def part_title(part: SeriesPart | None) -> str:
    """Returns the title of the part with a capital, such as `Acquisition 2`; empty without one."""
    return "" if part is None else part.title[0].upper() + part.title[1:]


def content_label(content: ResultContent) -> str:
    """Returns Content Label (0070,0080), PS3.3 C.10.12: the organs, as a Code String."""
    names = [_code_string(label.name) for label in content.mask.labels]
    names = [name for name in names if name]
    if not names:
        return "SEGMENTATION"
    together = "_".join(names)
    if len(together) <= _MAX_CODE_STRING:
        return together
    more = f"_AND_{len(names) - 1}" if len(names) > 1 else ""
    room = _MAX_CODE_STRING - len(more)
    first = names[0] if len(names[0]) <= room else names[0][:room].rpartition("_")[0]
    return (first or names[0][:room]) + more


def source_series_number(header: Dataset) -> int | None:
    """Returns the Series Number of a source header; None if it is absent or no such number."""
    text = _text(header, "SeriesNumber")
    # Ten digits hold every Integer String; a longer or negative one numbers no series.
    return int(text) if re.fullmatch(r"\d{1,10}", text) else None


def _text(header: Dataset, keyword: str) -> str:
    """Returns the value as one line, without characters that a Long String may not have."""
    try:
        value = header.get(keyword)
    except PARSE_ERRORS:
        return ""
    if value is None:
        return ""
    # pydicom splits a text with backslashes into several values.
    joined = " ".join(str(part) for part in value) if isinstance(value, MultiValue) else str(value)
    printable = "".join(c if c.isprintable() and c != "\\" else " " for c in joined)
    return " ".join(printable.split())


def _organs(content: ResultContent) -> str:
    """Returns the organs that were found, or all of the model where none was measured."""
    labels = [label.name for label in content.mask.labels]
    measured = content.measurements
    found = [name for name in labels if name in measured and measured[name].volume_ml > 0]
    names = found or labels
    if len(names) <= _MAX_LISTED_ORGANS:
        return ", ".join(names)
    listed = ", ".join(names[:_ORGANS_BEFORE_MORE])
    return f"{listed} and {len(names) - _ORGANS_BEFORE_MORE} more"


def _fill(template: str, values: dict[str, str]) -> str:
    """Returns the template with its values, without what surrounds a missing one."""

    def kept(word: re.Match[str]) -> str:
        fields = TEMPLATE_FIELD.findall(word[2])
        missing = fields and not any(values[field] for field in fields)
        return f"{word[1]}{_MISSING}{word[3]}" if missing else word[0]

    filled = _WORD.sub(kept, template)
    # Before a bracket, a comma separated only what is missing.
    filled = re.sub(rf"[,;:](?:\s+{_MISSING})+\s+(?=[(\[])", " ", filled).replace(_MISSING, "")
    filled = re.sub(r"([(\[])\s+", r"\1", filled)
    filled = re.sub(r"\s+([)\],.;:])", r"\1", filled)
    filled = re.sub(r"\(\)|\[\]", "", filled)
    filled = TEMPLATE_FIELD.sub(lambda field: values[field[1]], filled)
    return " ".join(filled.split()).strip(" ,;:")


def _shows(text: str, value: str) -> bool:
    """Whether the first word of a value in the text, if it is there, lies before the cut."""
    start = text.rfind(value)
    return not value or start + len(value.split(maxsplit=1)[0]) <= MAX_LONG_STRING


def _cut(text: str) -> str:
    """Returns at most 64 characters, cut after a word; a bracket that was cut is closed."""
    if len(text) <= MAX_LONG_STRING:
        return text
    start = text[: MAX_LONG_STRING + 1]
    words = start.rpartition(" ")[0] or start[:MAX_LONG_STRING]
    kept = words.rstrip(" ,;:([-")
    opened = kept.count("(") > kept.count(")")
    return f"{kept})" if opened and len(kept) < MAX_LONG_STRING else kept


def _code_string(name: str) -> str:
    """Returns the name in capitals, digits and underscores (PS3.5 6.2)."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
