"""The DICOM attributes that rules may test, and how their values are compared and displayed."""

import difflib
import math
import re
from collections.abc import Collection
from typing import Any

from node.routing.dicom_dictionary import entries_by_keyword

_NUMBERS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV", "US or SS"})
# Ages in years, dates as 20260131 and times as 235959 have an order too.
_ORDERED = _NUMBERS | {"AS", "DA", "TM"}
_YEARS_PER = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_TAG = re.compile(r"\(?([0-9a-fA-F]{4}),? ?([0-9a-fA-F]{4})\)?")
_COMMAND_AND_FILE_META_GROUPS = (0x0000, 0x0002)
_PATIENT_GROUP = 0x0010
# Attributes of the patient group that describe but do not identify (PS3.3 C.7.1.3, C.7.2.2).
_DESCRIPTIVE = frozenset(
    {"PatientAge", "PatientSex", "PatientSize", "PatientWeight", "PregnancyStatus", "SmokingStatus"}
)
# Attributes outside that group, not of VR PN, that can identify a patient.
_IDENTIFYING = frozenset(
    {
        "AccessionNumber",
        "AdmissionID",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "FillerOrderNumberImagingServiceRequest",
        "PatientInstitutionResidence",
        "PersonAddress",
        "PersonTelephoneNumbers",
        "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
        "ServiceEpisodeID",
        "StudyID",
    }
)
_MAX_DISPLAYED_CHARACTERS = 64  # of a value; a text attribute can hold pages

# Attributes that rules often test: the first candidates for a misspelt keyword.
FREQUENT_ATTRIBUTES = (
    "AccessionNumber",
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "ImageType",
    "InstitutionName",
    "KVP",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "PatientAge",
    "PatientPosition",
    "PatientSex",
    "ProtocolName",
    "RequestedProcedureDescription",
    "SeriesDescription",
    "SeriesNumber",
    "SliceThickness",
    "StationName",
    "StudyDescription",
)


def attribute_mistake(attribute: Any) -> str:
    """Returns why no rule can test `attribute`; empty if a rule can."""
    entry = entries_by_keyword().get(attribute) if isinstance(attribute, str) else None
    if entry is None:
        return f"{attribute!r} is not a DICOM keyword{_keyword_suggestion(str(attribute))}"
    if entry.tag >> 16 in _COMMAND_AND_FILE_META_GROUPS:
        return f"{attribute} belongs to the transfer, not to the image; no rule can test it"
    if not is_comparable(entry.vr):
        content = "a sequence" if entry.vr == "SQ" else "binary data"
        return f"{attribute} is {content}; rules compare texts and numbers"
    return ""


def is_comparable(vr: str) -> bool:
    """Returns whether values of this value representation are texts or numbers."""
    return vr not in ("SQ", "UN", "NONE") and not any(p[0] == "O" for p in vr.split(" or "))


def is_number(attribute: str) -> bool:
    """Returns whether the attribute is defined as a number."""
    return _vr(attribute) in _NUMBERS


def is_ordered(attribute: str) -> bool:
    """Returns whether the attribute's values have an order, so that a range can be tested."""
    return _vr(attribute) in _ORDERED


def is_code_string(attribute: str) -> bool:
    """Returns whether the attribute's values are code strings, such as CT."""
    return _vr(attribute) == "CS"


def has_one_value(attribute: str) -> bool:
    """Returns whether the attribute never has several values (value multiplicity 1)."""
    entry = entries_by_keyword().get(attribute)
    return entry is not None and entry.vm == "1"


def parse_number(attribute: str, value: str) -> float | None:
    """Returns the value as a number, an age (PS3.5 6.2, AS) in years; None for other text."""
    if _vr(attribute) == "AS" and value[-1:] in _YEARS_PER:
        count = parse_finite(value[:-1])
        return None if count is None else count * _YEARS_PER[value[-1]]
    return parse_finite(value)


def allows_multiple_values(attribute: str) -> bool:
    """Returns whether a backslash separates values and so cannot be in one (PS3.5 6.2)."""
    return _vr(attribute) not in ("LT", "ST", "UT", "UR")


def parse_finite(text: str) -> float | None:
    """Returns the finite number in `text`; None if there is none."""
    try:
        parsed = float(text)
    except ValueError:
        return None
    return parsed if math.isfinite(parsed) and "_" not in text else None


def values_equal(attribute: str, value: str, expected: str) -> bool:
    """Returns whether a value equals the expected one.

    Numbers are compared as numbers (5 equals 5.0). Code strings are compared without regard to
    case, because scanners write both. All others are compared exactly, so that the identifiers 007
    and 7 differ.
    """
    value, expected = value.strip(), expected.strip()
    if is_number(attribute):
        left, right = parse_finite(value), parse_finite(expected)
        return left == right if left is not None else value == expected
    if _vr(attribute) == "CS":
        return value.casefold() == expected.casefold()
    return value == expected


def identifies_patient(attribute: str) -> bool:
    """Returns whether values can identify a patient; such values are never stored or displayed."""
    entry = entries_by_keyword().get(attribute)
    if entry is None or attribute in _DESCRIPTIVE:
        return False
    in_group = entry.tag >> 16 == _PATIENT_GROUP
    return in_group or entry.vr == "PN" or attribute in _IDENTIFYING


def describe_values(attribute: str, values: tuple[str, ...]) -> str:
    """Describes the values of an attribute in one line that identifies no patient."""
    if not values:
        return "is absent"
    if identifies_patient(attribute):
        return "value not shown: it could name a patient"
    text = "".join(c if c.isprintable() else " " for c in "\\".join(values))
    if len(text) > _MAX_DISPLAYED_CHARACTERS:
        return f"is {text[:_MAX_DISPLAYED_CHARACTERS]}…"
    return f"is {text}"


def closest_match(word: str, known: Collection[str]) -> str:
    """Returns the known word that is most similar to `word`; empty if none is similar."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


def suggestion(word: str, known: Collection[str]) -> str:
    """Returns " (did you mean ...?)", or the list of known words if none is similar."""
    match = closest_match(word, known)
    if match:
        return f" (did you mean {match!r}?)"
    return f"; known: {', '.join(sorted(known)) or 'none'}"


def _keyword_suggestion(attribute: str) -> str:
    if tag := _TAG.fullmatch(attribute):
        from pydicom.datadict import dictionary_keyword  # knows repeating groups, imports slowly

        try:
            match = dictionary_keyword(int(tag[1] + tag[2], 16))
        except KeyError:
            match = ""
    else:
        match = closest_match(attribute, FREQUENT_ATTRIBUTES) or closest_match(
            attribute, entries_by_keyword()
        )
    return f" (did you mean {match!r}?)" if match else '; one is "SeriesDescription" (PS3.6)'


def _vr(attribute: str) -> str:
    entry = entries_by_keyword().get(attribute)
    return "" if entry is None else entry.vr
