"""Requests for a part of a long series read the files of that part alone."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydicom import FileDataset, dcmread

from node.domain.series import StoredSeries
from node.web.dicomweb import archive
from tests.support.dicom.builders import ct_series
from tests.support.servers.served_node import ServedNode


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the archive has read, in their order."""
    found: list[str] = []

    def recorded(read: Callable[..., FileDataset]) -> Callable[..., FileDataset]:
        def recording(file: Path, **options: object) -> FileDataset:
            found.append(file.name)
            return read(file, **options)

        return recording

    monkeypatch.setattr(archive, "dcmread", recorded(dcmread))
    return found


@pytest.fixture
def long_series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A series that no other test has asked for, so that nothing of it is cached."""
    return node.receive(ct_series(seed=tmp_path.name), tmp_path / "ct")


def _url(node: ServedNode, series: StoredSeries) -> str:
    study, uid = series.study_instance_uid, series.series_instance_uid
    return f"{node.dicomweb_url}/studies/{study}/series/{uid}"


def test_a_page_of_instances_reads_no_file_before_it(
    node: ServedNode, long_series: StoredSeries, files_read: list[str]
) -> None:
    page = {"limit": 2, "offset": 5}
    answer = httpx.get(f"{_url(node, long_series)}/instances", params=page)
    found = [one["00080018"]["Value"][0] for one in answer.json()]
    stored = node.store.instances_of(long_series.series_instance_uid)
    assert found == [one.sop_instance_uid for one in stored[5:7]]
    # One more than requested shows whether there are more.
    assert len(files_read) == 3


def test_a_page_of_a_filtered_search_counts_what_matches(
    node: ServedNode, long_series: StoredSeries
) -> None:
    page = {"limit": "2", "offset": "1", "SliceThickness": "*"}
    answer = httpx.get(f"{_url(node, long_series)}/instances", params=page)
    found = [one["00080018"]["Value"][0] for one in answer.json()]
    stored = node.store.instances_of(long_series.series_instance_uid)
    assert found == [one.sop_instance_uid for one in stored[1:3]]


def test_the_second_thumbnail_of_a_series_reads_no_header(
    node: ServedNode, long_series: StoredSeries, files_read: list[str]
) -> None:
    first = httpx.get(f"{_url(node, long_series)}/thumbnail")
    assert len(files_read) == long_series.instance_count
    archive._cached_attributes.cache_clear()  # other searches have used it up
    second = httpx.get(f"{_url(node, long_series)}/thumbnail")
    assert first.content == second.content
    assert len(files_read) == long_series.instance_count
