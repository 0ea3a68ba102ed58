"""Queries for series at a peer or DICOMweb source, and what they find."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid

# PS3.5 6.2: DA and its range matching (PS3.4 C.2.2.2.5.1); one end of a range may be open.
_DATE_OR_RANGE = re.compile(r"\d{8}|\d{8}-\d{8}|\d{8}-|-\d{8}")


class QueryLevel(StrEnum):
    """Query/Retrieve Level (0008,0052) of the Study Root model (PS3.4 C.6.2)."""

    STUDY = "STUDY"
    SERIES = "SERIES"


class TooManyMatches(Rejected):
    """A query has more matches than its limit."""

    def __init__(self, source: str, limit: int) -> None:
        super().__init__(
            RejectionReason.INVALID_REQUEST,
            f"{source} has more than {limit} matches: narrow the query, for example by study date "
            "or patient ID, or raise the limit",
        )


@dataclass(frozen=True)
class SeriesQuery:
    """The keys of a query; an empty one matches everything.

    The identifiers of a patient stay out of logs: `repr` omits them.

    Raises:
        ValueError: no key narrows the studies, or a key has a wrong form.
    """

    patient_id: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    study_date: str = ""  # YYYYMMDD, or a range such as 20260101-20260131
    modality: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""

    def __post_init__(self) -> None:
        if self.study_date and not _DATE_OR_RANGE.fullmatch(self.study_date):
            raise ValueError(
                f"{self.study_date!r} is no study date: write 20260131, or 20260101-20260131"
            )
        for text in (self.patient_id, self.accession_number, self.modality):
            if len(text) > 64 or "\\" in text or not text.isprintable():
                raise ValueError("a key has at most 64 characters, without a backslash")
        for uid in (self.study_instance_uid, self.series_instance_uid):
            if uid:
                _check_uid(uid)
        if self.series_instance_uid and not self.study_instance_uid:
            raise ValueError("a series UID needs the UID of its study, too")
        narrowing = (
            self.patient_id,
            self.accession_number,
            self.study_date,
            self.study_instance_uid,
        )
        if not any(narrowing):
            raise ValueError(
                "the query would match every study: "
                "give a patient ID, an accession number, a study date or a study UID"
            )


@dataclass(frozen=True)
class FoundStudy:
    """A study that matches; texts are empty and numbers None where the peer does not give them."""

    study_instance_uid: Uid
    study_date: str
    description: str
    instance_count: int | None


@dataclass(frozen=True)
class FoundSeries:
    """A series that matches; texts are empty and numbers None where the peer does not give them."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    study_date: str
    modality: str
    description: str
    instance_count: int | None


def _check_uid(text: str) -> None:
    try:
        Uid(text)
    except Rejected as error:
        raise ValueError(str(error)) from error
