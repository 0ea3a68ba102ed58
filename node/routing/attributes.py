"""The DICOM attributes that rules may ask about: which, how their values compare and are shown."""

import difflib
import math
import re
from collections.abc import Collection
from typing import Any

from pydicom.datadict import dictionary_keyword, dictionary_VR, keyword_dict, tag_for_keyword

_NUMBERS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV", "US or SS"})
# Ages in years, dates as 20260131 and times as 235959 have an order too.
_ORDERED = _NUMBERS | {"AS", "DA", "TM"}
_YEARS_PER = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_TAG = re.compile(r"\(?([0-9a-fA-F]{4}),? ?([0-9a-fA-F]{4})\)?")
_COMMAND_AND_FILE_META_GROUPS = (0x0000, 0x0002)
_PATIENT_GROUP = 0x0010
# Of the patient's group, what describes but does not name (PS3.3 C.7.1.3, C.7.2.2).
_DESCRIBING = frozenset(
    {"PatientAge", "PatientSex", "PatientSize", "PatientWeight", "PregnancyStatus", "SmokingStatus"}
)
# Outside that group and not a person's name, and yet somebody's number.
_NUMBERS_OF_PATIENTS = frozenset(
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
_LONGEST_SHOWN = 64  # characters of a value; a text attribute can hold pages

# What rules are usually about: the first place to look for a misspelt keyword.
_FREQUENT = (
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


def mistake_in(attribute: Any) -> str:
    """Why no rule can ask about `attribute`; empty where one can."""
    tag = tag_for_keyword(attribute) if isinstance(attribute, str) else None
    if tag is None:
        return f"{attribute!r} is no DICOM keyword{_suggestion(str(attribute))}"
    if tag >> 16 in _COMMAND_AND_FILE_META_GROUPS:
        return f"{attribute} belongs to the transfer, not to the image; no rule can ask about it"
    vr = dictionary_VR(tag)
    if not is_comparable(vr):
        what = "a sequence" if vr == "SQ" else "binary data"
        return f"{attribute} is {what}; rules compare texts and numbers"
    return ""


def is_comparable(vr: str) -> bool:
    """Whether values of this representation are texts or numbers."""
    return vr not in ("SQ", "UN", "NONE") and not any(p[0] == "O" for p in vr.split(" or "))


def is_number(attribute: str) -> bool:
    """Whether the attribute's values are numbers by its definition."""
    return _vr(attribute) in _NUMBERS


def has_order(attribute: str) -> bool:
    """Whether a range of the attribute's values makes sense."""
    return _vr(attribute) in _ORDERED


def number(attribute: str, value: str) -> float | None:
    """The value as a number, an age (PS3.5 6.2, AS) in years; None where it is none."""
    if _vr(attribute) == "AS" and value[-1:] in _YEARS_PER:
        count = finite(value[:-1])
        return None if count is None else count * _YEARS_PER[value[-1]]
    return finite(value)


def parts_at_backslash(attribute: str) -> bool:
    """Whether a backslash parts its values, and so is in none of them (PS3.5 6.2)."""
    return _vr(attribute) not in ("LT", "ST", "UT", "UR")


def finite(text: str) -> float | None:
    """The number that `text` writes; None where it is none, or infinite."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and "_" not in text else None


def same(attribute: str, value: str, wanted: str) -> bool:
    """Whether a value is the wanted one.

    Numbers compare as numbers (5 is 5.0), code strings without regard to case, as scanners write
    both; all else to the letter, so that the identifiers 007 and 7 differ.
    """
    value, wanted = value.strip(), wanted.strip()
    if is_number(attribute):
        left, right = finite(value), finite(wanted)
        return left == right if left is not None else value == wanted
    if _vr(attribute) == "CS":
        return value.casefold() == wanted.casefold()
    return value == wanted


def names_a_patient(attribute: str) -> bool:
    """Whether values could identify a patient: they are compared but never kept or shown."""
    tag = tag_for_keyword(attribute)
    if tag is None or attribute in _DESCRIBING:
        return False
    in_group = tag >> 16 == _PATIENT_GROUP
    return in_group or dictionary_VR(tag) == "PN" or attribute in _NUMBERS_OF_PATIENTS


def shown(attribute: str, values: tuple[str, ...]) -> str:
    """The values a condition met, in one line that names no patient."""
    if not values:
        return "is absent"
    if names_a_patient(attribute):
        return "value not shown: it could name a patient"
    text = "".join(c if c.isprintable() else " " for c in "\\".join(values))
    return f"is {text[:_LONGEST_SHOWN]}…" if len(text) > _LONGEST_SHOWN else f"is {text}"


def near(word: str, known: Collection[str]) -> str:
    """The known word that `word` was probably meant to be; empty without one."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


def suggestion(word: str, known: Collection[str]) -> str:
    """ " (did you mean ...?)", or the known words when none is near."""
    meant = near(word, known)
    if meant:
        return f" (did you mean {meant!r}?)"
    return f"; known: {', '.join(sorted(known)) or 'none'}"


def _suggestion(attribute: str) -> str:
    if tag := _TAG.fullmatch(attribute):
        try:
            meant = dictionary_keyword(int(tag[1] + tag[2], 16))
        except KeyError:
            meant = ""
    else:
        meant = near(attribute, _FREQUENT) or near(attribute, keyword_dict)
    return f" (did you mean {meant!r}?)" if meant else '; one is "SeriesDescription" (PS3.6)'


def _vr(attribute: str) -> str:
    tag = tag_for_keyword(attribute)
    return "" if tag is None else dictionary_VR(tag)
