"""The keys of a query."""

import pytest

from node.dicom.query import SeriesQuery


@pytest.mark.parametrize("date", ["20260131", "20260101-20260131", "20260101-", "-20260131"])
def test_a_study_date_is_a_day_or_a_range(date: str) -> None:
    assert SeriesQuery(study_date=date).study_date == date


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "every study"),
        ({"modality": "CT"}, "every study"),
        ({"study_date": "2026-01-31"}, "is no study date"),
        ({"study_date": "20260101-20260131-"}, "is no study date"),
        ({"study_instance_uid": "1.2/x"}, "not a valid DICOM UID"),
        ({"study_date": "20260131", "series_instance_uid": "1.2"}, "UID of its study"),
        ({"patient_id": "a\\b"}, "without a backslash"),
        ({"accession_number": "a\nb"}, "without a backslash"),
        ({"patient_id": "1" * 65}, "at most 64 characters"),
    ],
)
def test_a_query_that_no_peer_can_answer_is_an_error(keys: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SeriesQuery(**keys)


def test_the_identifiers_of_a_patient_are_not_printed() -> None:
    query = SeriesQuery(patient_id="SECRET-1", accession_number="SECRET-2")
    assert "SECRET" not in repr(query)
