"""Finds series at a source: first the studies, then the series of each (PS3.4 C.4.1.2.1)."""

from collections.abc import Callable, Mapping

from pydicom.dataset import Dataset

from node.dicom.query import FoundSeries, FoundStudy, QueryLevel, SeriesQuery
from node.domain.errors import Rejected
from node.domain.identifiers import Uid

# Takes the level, the keys by keyword and the maximum number of matches; returns the matches.
Find = Callable[[QueryLevel, Mapping[str, str], int], list[Dataset]]


def find_studies(find: Find, query: SeriesQuery, max_matches: int) -> list[FoundStudy]:
    """Returns the studies that match; never asks for a patient's name.

    Raises:
        Transient: the source does not answer, or refuses the query.
        TooManyMatches: more than `max_matches` studies match.
    """
    keys = {
        "StudyInstanceUID": query.study_instance_uid,
        "StudyDate": query.study_date,
        "ModalitiesInStudy": query.modality,
        "StudyDescription": "",
        "NumberOfStudyRelatedInstances": "",
    }
    # A key that is not given is left out: its value, which identifies a patient, is not needed.
    if query.patient_id:
        keys["PatientID"] = query.patient_id
    if query.accession_number:
        keys["AccessionNumber"] = query.accession_number
    matches = find(QueryLevel.STUDY, keys, max_matches)
    return [study for match in matches if (study := _study(match)) is not None]


def find_series(
    find: Find, query: SeriesQuery, study: FoundStudy, max_matches: int
) -> list[FoundSeries]:
    """Returns the series of `study` that match.

    Raises:
        Transient: the source does not answer, or refuses the query.
        TooManyMatches: more than `max_matches` series match.
    """
    keys = {
        "StudyInstanceUID": str(study.study_instance_uid),
        "SeriesInstanceUID": query.series_instance_uid,
        "Modality": query.modality,
        "SeriesDescription": "",
        "NumberOfSeriesRelatedInstances": "",
    }
    matches = find(QueryLevel.SERIES, keys, max_matches)
    return [series for match in matches if (series := _series(match, query, study)) is not None]


def _study(match: Dataset) -> FoundStudy | None:
    """Returns the study; None if its UID cannot be used."""
    uid = _uid(match, "StudyInstanceUID")
    if uid is None:
        return None
    return FoundStudy(
        study_instance_uid=uid,
        study_date=_text(match, "StudyDate"),
        description=_text(match, "StudyDescription"),
        instance_count=_number(match, "NumberOfStudyRelatedInstances"),
    )


def _series(match: Dataset, query: SeriesQuery, study: FoundStudy) -> FoundSeries | None:
    """Returns the series; None if its UID cannot be used, or a key does not match.

    Some peers ignore a key that they do not support.
    """
    uid = _uid(match, "SeriesInstanceUID")
    modality = _text(match, "Modality")
    if uid is None:
        return None
    if query.modality and modality != query.modality:
        return None
    if query.series_instance_uid and uid != query.series_instance_uid:
        return None
    return FoundSeries(
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=uid,
        study_date=study.study_date,
        modality=modality,
        description=_text(match, "SeriesDescription") or study.description,
        instance_count=_number(match, "NumberOfSeriesRelatedInstances"),
    )


def _uid(match: Dataset, keyword: str) -> Uid | None:
    try:
        return Uid(str(match.get(keyword) or ""))
    except Rejected:
        return None


def _text(match: Dataset, keyword: str) -> str:
    """Returns a text on one line, without control characters."""
    text = str(match.get(keyword) or "")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _number(match: Dataset, keyword: str) -> int | None:
    try:
        return int(str(match.get(keyword)))
    except ValueError:
        return None
