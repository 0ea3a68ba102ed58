"""Scheduled queries against a real Orthanc: each new series is requested once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.dicom.query import QueryLevel
from node.domain.identifiers import Uid
from node.domain.series import SeriesState
from node.retrieval.scheduled_query import ScheduledQuery
from node.retrieval.series_search import Find
from node.retrieval.sources import SearchableSource, searchable_source
from tests.support.dicom.builders import CtFiles
from tests.support.factories import NOON
from tests.support.servers.fetching_node import METHODS, FetchingNode, small, store_in


def scheduled(site: FetchingNode, source: str = "by_get", limit: int = 20) -> ScheduledQuery:
    """A query for CT of the last 30 days."""
    return ScheduledQuery(
        name="new-ct",
        source=searchable_source(site.settings, source),
        modality="CT",
        lookback_days=30,
        max_open_retrievals=limit,
        store=site.store,
        now=lambda: NOON,
    )


TODAY = f"{NOON.astimezone():%Y%m%d}"


def open_series(site: FetchingNode) -> list[Uid]:
    """The series of the open retrievals."""
    return [one.series_instance_uid for one in site.store.open_retrievals()]


@pytest.mark.parametrize("source", METHODS)
def test_a_scheduled_query_requests_a_new_series_once_it_has_stopped_to_grow(
    site: FetchingNode, tmp_path: Path, source: str
) -> None:
    found = store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    store_in(site.orthanc, small("old"), tmp_path / "old", StudyDate="20200101")
    store_in(site.orthanc, small("mr"), tmp_path / "mr", StudyDate=TODAY, Modality="MR")
    query = scheduled(site, source)
    query.run()
    assert open_series(site) == [], "the series may still grow"
    query.run()
    assert open_series(site) == [found.series_instance_uid]
    query.run()
    assert open_series(site) == [found.series_instance_uid]
    site.retriever.poll(source)
    series = site.store.get_series(found.series_instance_uid)
    assert series is not None
    assert series.instance_count == found.instance_count


def without_series_at_first(source: SearchableSource) -> SearchableSource:
    """The source, whose first connection lists studies but not yet their series."""
    connections = 0

    @contextmanager
    def searching() -> Iterator[Find]:
        nonlocal connections
        connections += 1
        first = connections == 1
        with source.searching() as find:

            def find_studies_only(
                level: QueryLevel, keys: Mapping[str, str], max_matches: int
            ) -> list[Dataset]:
                if first and level is QueryLevel.SERIES:
                    return []
                return find(level, keys, max_matches)

            yield find_studies_only

    return replace(source, searching=searching)


def test_a_study_whose_series_are_listed_late_is_searched_again(
    site: FetchingNode, tmp_path: Path
) -> None:
    found = store_in(site.orthanc, small("late"), tmp_path / "late", StudyDate=TODAY)
    query = scheduled(site)
    query.source = without_series_at_first(query.source)
    for _ in range(3):
        query.run()
    assert open_series(site) == [found.series_instance_uid]


def test_a_decided_series_is_not_requested_again_by_a_restarted_worker(
    site: FetchingNode, tmp_path: Path
) -> None:
    store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    for _ in range(2):
        query = scheduled(site)
        query.run()
        query.run()
    (retrieval,) = site.store.list_retrievals()
    site.store.finish_retrieval(retrieval.retrieval_id, NOON, error="given up")
    for _ in range(2):
        query = scheduled(site)
        query.run()
        query.run()
    assert len(site.store.list_retrievals()) == 1


def test_a_series_that_the_node_has_is_not_requested(site: FetchingNode, tmp_path: Path) -> None:
    found = store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    site.retrieve("by_web", found.study_instance_uid, found.series_instance_uid)
    query = scheduled(site)
    query.run()
    query.run()
    assert open_series(site) == []


def test_a_series_with_more_images_than_before_is_requested_again(
    site: FetchingNode, tmp_path: Path
) -> None:
    whole = small("growing", slices=4)
    found = store_in(site.orthanc, CtFiles(whole.datasets[:3]), tmp_path / "3", StudyDate=TODAY)
    query = scheduled(site)
    query.run()
    query.run()
    site.retriever.poll("by_get")
    site.store.record_decision(
        found.series_instance_uid, "{}", SeriesState.IGNORED, NOON, seen_count=3
    )
    store_in(site.orthanc, CtFiles(whole.datasets[3:]), tmp_path / "1", StudyDate=TODAY)
    query.run()
    assert open_series(site) == [], "the series may still grow"
    query.run()
    assert open_series(site) == [found.series_instance_uid]
    site.retriever.poll("by_get")
    series = site.store.get_series(found.series_instance_uid)
    assert series is not None
    assert series.instance_count == 4


def test_a_scheduled_query_requests_no_more_series_than_its_limit(
    site: FetchingNode, tmp_path: Path
) -> None:
    for number in range(3):
        store_in(
            site.orthanc, small(f"{number}", slices=1), tmp_path / f"{number}", StudyDate=TODAY
        )
    query = scheduled(site, limit=2)
    query.run()
    query.run()
    assert len(open_series(site)) == 2
    site.retriever.poll("by_get")
    query.run()
    assert len(open_series(site)) == 1
    assert len(site.store.list_retrievals()) == 3


def test_two_workers_that_query_at_once_request_a_series_once(
    site: FetchingNode, tmp_path: Path
) -> None:
    store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    first, second = scheduled(site), scheduled(site)
    for query in (first, second, first, second):
        query.run()
    assert len(site.store.list_retrievals()) == 1
