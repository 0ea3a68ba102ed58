"""The upkeep of the search index: what it reads from images, and what it does without them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from node.domain.errors import Transient
from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.maintenance.search_index import SearchIndex
from node.store import Store
from node.store.search.query import SeriesQuery
from node.store.search.searching import IndexedSeries
from tests.support.factories import LATER, NOON, encoded, received, sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


def receive(store: Store, series: str, **attributes: object) -> Path:
    """Receives a series of one image; returns its file."""
    dataset = encoded(
        sop_instance_uid=f"{series}.1", series_instance_uid=series, attributes=attributes
    )
    instance = received(sop_instance_uid=f"{series}.1", series_instance_uid=series, dataset=dataset)
    return Inbox(store, 0).accept(instance, NOON).instance.path


def indexed(store: Store, series: str = "1.5") -> IndexedSeries:
    (row,) = store.search_series(SeriesQuery(uid=series, searches_patients=True)).rows
    return row


def index(store: Store, *, keeps_patients: bool = True) -> SearchIndex:
    return SearchIndex(store, keeps_patients, lambda: LATER)


def test_the_attributes_of_the_first_image_are_indexed_as_texts(store: Store) -> None:
    receive(
        store,
        "1.5",
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Müller^Hans",
        PatientID=" P17 ",
        AccessionNumber="A1",
        SeriesDescription="one\ttwo",
        BodyPartExamined=["LIVER", "SPLEEN"],
        StudyDate="20260131",
    )
    index(store).poll()
    row = indexed(store)
    assert (row.patient_id, row.patient_name) == ("P17", "Müller^Hans")
    assert (row.accession_number, row.study_date, row.modality) == ("A1", "20260131", "CT")
    assert (row.series_description, row.body_part_examined) == ("one two", "LIVER\\SPLEEN")
    assert store.series_without_attributes(10) == []


def test_patients_are_indexed_and_removed_as_the_setting_says(store: Store) -> None:
    receive(store, "1.5", PatientID="P17")
    index(store, keeps_patients=False).poll()
    assert indexed(store).patient_id == ""
    index(store).poll()  # requests them; the same run reads them
    assert indexed(store).patient_id == "P17"
    index(store, keeps_patients=False).poll()
    assert indexed(store).patient_id == ""
    assert indexed(store).modality == "CT"


def test_a_series_keeps_its_attributes_when_its_images_are_deleted(store: Store) -> None:
    receive(store, "1.5", SeriesDescription="Abdomen", PatientID="P17")
    index(store).poll()
    store.record_decision("1.5", "{}", SeriesState.IGNORED, NOON, 1)
    assert store.clear_series("1.5", LATER)
    index(store).poll()
    row = indexed(store)
    assert (row.series_description, row.patient_id) == ("Abdomen", "")
    assert store.series_without_attributes(10) == []


def test_a_damaged_image_leaves_its_series_without_attributes(store: Store) -> None:
    receive(store, "1.5").write_bytes(b"no DICOM")
    index(store).poll()
    assert indexed(store).modality == ""
    assert store.series_without_attributes(10) == []


def test_a_disk_that_fails_for_one_image_does_not_stop_the_others(store: Store) -> None:
    failing, _ = receive(store, "1.5"), receive(store, "1.6")
    local_copies = store.files.local_copies

    @contextmanager
    def copies(paths: list[Path]) -> Iterator[list[Path]]:
        if failing in paths:
            raise Transient("the disk does not answer")
        with local_copies(paths) as found:
            yield found

    with patch.object(store.files, "local_copies", copies), pytest.raises(Transient):
        index(store).poll()
    assert indexed(store, "1.6").modality == "CT"
    assert store.series_without_attributes(10) == ["1.5"]
    index(store).poll()
    assert indexed(store).modality == "CT"
