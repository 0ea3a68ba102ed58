"""Query and retrieve against a real Orthanc: C-FIND, C-MOVE, C-GET, QIDO-RS and WADO-RS."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from node.dicom.query import FoundSeries, SeriesQuery, TooManyMatches
from node.domain.identifiers import mint_uid
from tests.pacs.conftest import OpenSite
from tests.support.factories import NOON
from tests.support.servers.fetching_node import METHODS, FetchingNode, small, store_in


@pytest.mark.parametrize("source", METHODS)
def test_a_series_is_found_by_each_key(
    site: FetchingNode, stored: FoundSeries, tmp_path: Path, source: str
) -> None:
    other = store_in(
        site.orthanc,
        small("two"),
        tmp_path / "two",
        PatientID="P-2",
        AccessionNumber="A-2",
        StudyDate="20260220",
    )
    both = SeriesQuery(study_date="20260101-20260301")
    assert {one.series_instance_uid for one in site.search(source, both)} == {
        stored.series_instance_uid,
        other.series_instance_uid,
    }
    for query in (
        SeriesQuery(patient_id="P-1"),
        SeriesQuery(accession_number="A-1"),
        SeriesQuery(study_date="20260110"),
        SeriesQuery(study_date="20260101-20260131", modality="CT"),
        SeriesQuery(study_instance_uid=stored.study_instance_uid),
        SeriesQuery(
            study_instance_uid=stored.study_instance_uid,
            series_instance_uid=stored.series_instance_uid,
        ),
    ):
        assert site.search(source, query) == [stored], query
    assert site.search(source, SeriesQuery(study_date="20260101-", modality="MR")) == []
    assert site.search(source, SeriesQuery(patient_id="P-3")) == []


@pytest.mark.parametrize("source", METHODS)
def test_a_wildcard_finds_what_it_stands_for(
    site: FetchingNode, tmp_path: Path, source: str
) -> None:
    found = store_in(
        site.orthanc, small("one"), tmp_path, PatientID="PLA/1:(2)", AccessionNumber="A-77"
    )
    for query in (
        SeriesQuery(patient_id="PLA*"),
        SeriesQuery(patient_id="*/1:(2)"),
        SeriesQuery(patient_id="PLA?1*"),
        SeriesQuery(patient_id="PLA/1:(2)"),
        SeriesQuery(accession_number="A-7?"),
        SeriesQuery(accession_number="*77", patient_id="P?A*"),
    ):
        assert site.search(source, query) == [found], query
    assert site.search(source, SeriesQuery(patient_id="PLB*")) == []
    assert site.search(source, SeriesQuery(accession_number="A-?")) == []


@pytest.mark.parametrize("source", METHODS)
def test_more_matches_than_the_limit_are_an_error_that_says_what_to_do(
    site: FetchingNode, stored: FoundSeries, tmp_path: Path, source: str
) -> None:
    for number in range(3):
        store_in(site.orthanc, small(f"more {number}", slices=1), tmp_path / str(number))
    query = SeriesQuery(study_date="19000101-")
    with pytest.raises(TooManyMatches, match="more than 2 matches: narrow the query"):
        site.search(source, query, limit=2)


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("by_move", "c-store ORTHANC"),
        ("by_get", "c-get ORTHANC"),
        ("by_web", "dicomweb by_web"),
    ],
)
def test_a_series_is_retrieved_unchanged_and_names_the_peer(
    site: FetchingNode, stored: FoundSeries, source: str, origin: str, tmp_path: Path
) -> None:
    retrieval = site.retrieve(source, stored.study_instance_uid, stored.series_instance_uid)
    assert (retrieval.error, retrieval.finished_at) == ("", NOON)
    series = site.store.get_series(stored.series_instance_uid)
    assert series is not None
    assert (series.instance_count, series.origin) == (stored.instance_count, origin)
    assert series.start_requested
    sent = {dcmread(f).SOPInstanceUID: dcmread(f).PixelData for f in (tmp_path / "one").iterdir()}
    kept = site.store.instances_of(stored.series_instance_uid)
    assert {i.sop_instance_uid: dcmread(i.path).PixelData for i in kept} == sent


@pytest.mark.parametrize("source", METHODS)
def test_a_series_that_the_pacs_does_not_have_ends_the_retrieval(
    site: FetchingNode, stored: FoundSeries, source: str
) -> None:
    retrieval = site.retrieve(source, stored.study_instance_uid, mint_uid("no", "such"))
    assert retrieval.finished_at is not None
    assert "has no images" in retrieval.error or "does not have this series" in retrieval.error


@pytest.mark.parametrize("source", METHODS)
def test_a_retrieval_waits_for_a_pacs_that_is_down(
    site: FetchingNode, stored: FoundSeries, source: str
) -> None:
    site.orthanc.stop()
    retrieval = site.retrieve(source, stored.study_instance_uid, stored.series_instance_uid)
    assert (retrieval.finished_at, retrieval.attempts) == (None, 1)
    assert "does not answer" in retrieval.error
    assert retrieval.next_try_at is not None
    assert NOON < retrieval.next_try_at <= NOON + timedelta(seconds=1)

    site.orthanc.start()
    site.retriever.poll(source)
    assert site.retrieval(retrieval.retrieval_id).attempts == 1, "it is not due yet"
    site.clock_s[0] += 10.0
    site.retriever.poll(source)
    finished = site.retrieval(retrieval.retrieval_id)
    assert (finished.error, finished.finished_at) == ("", NOON)


def test_a_pacs_that_does_not_know_the_node_as_destination_is_named_with_the_remedy(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = open_site(knows_us=False)
    found = store_in(site.orthanc, small("one"), tmp_path / "one")
    retrieval = site.retrieve("by_move", found.study_instance_uid, found.series_instance_uid)
    assert retrieval.finished_at is None
    port = site.settings.listener.port
    # Orthanc answers C000, a general failure, and not A801.
    assert f"check that it knows SEGNODE and reaches it on port {port}" in retrieval.error


def test_a_pacs_that_cannot_reach_the_listener_is_named_with_the_remedy(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = open_site(listens=False)
    found = store_in(site.orthanc, small("one"), tmp_path / "one")
    retrieval = site.retrieve("by_move", found.study_instance_uid, found.series_instance_uid)
    assert retrieval.finished_at is None
    port = site.settings.listener.port
    assert f"check that it knows SEGNODE and reaches it on port {port}" in retrieval.error
