"""Accepted instances are complete on disk and indexed; failures leave nothing behind."""

import errno
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydicom
import pytest
from structlog.testing import capture_logs

from node.dicom.data_set_digest import ImageDigest, digest_of
from node.domain.errors import RejectionReason, Transient
from node.domain.series import SeriesState
from node.intake.inbox import Inbox, StoredInOtherSeries
from node.intake.part10 import received_from_file
from node.store import Store
from tests.support.factories import (
    CT_IMAGE,
    EXPLICIT,
    NOON,
    encoded,
    received,
    series_in,
    sqlite_url,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def inbox(store: Store) -> Inbox:
    return Inbox(store, 0)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_accepted_instance_is_stored_as_a_dicom_file_with_unchanged_data_set(
    inbox: Inbox, store: Store
) -> None:
    instance = received(dataset=encoded())

    accepted = inbox.accept(instance, NOON)

    assert accepted.is_new
    assert accepted.instance == store.instances_of("1.2.3")[0]
    path = accepted.instance.path
    assert path == store.data_dir / "instances" / "1.2.3" / "1.2.3.1.dcm"
    content = path.read_bytes()
    assert content[:132] == bytes(128) + b"DICM"
    assert content.endswith(instance.dataset)
    assert received_from_file(path, instance.origin) == instance
    dataset = pydicom.dcmread(path)
    assert dataset.file_meta.MediaStorageSOPClassUID == CT_IMAGE
    assert dataset.file_meta.MediaStorageSOPInstanceUID == "1.2.3.1"
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert dataset.SeriesInstanceUID == "1.2.3"
    found = store.find_instance("1.2.3.1")
    assert found is not None
    assert found.size_bytes == len(content)


def test_a_resent_instance_is_accepted_but_stored_once(inbox: Inbox, store: Store) -> None:
    instance = received(dataset=encoded())
    first = inbox.accept(instance, NOON)
    again = inbox.accept(instance, NOON)
    assert not again.is_new
    assert again.instance == first.instance
    assert len(store.instances_of("1.2.3")) == 1


def test_the_first_of_two_different_duplicates_is_kept_and_logged_without_a_patient(
    inbox: Inbox,
) -> None:
    first = received(dataset=encoded(patient_name="Doe^Jane"))
    second = received(dataset=encoded(patient_name="Roe^Richard"), peer="OTHER")
    inbox.accept(first, NOON)

    with capture_logs() as logs:
        again = inbox.accept(second, NOON)

    assert not again.is_new
    assert again.instance.path.read_bytes().endswith(first.dataset)
    (entry,) = logs
    assert entry["event"] == "inbox.differs_from_first"
    assert entry["log_level"] == "warning"
    assert "Doe" not in str(logs)
    assert "Roe" not in str(logs)


@pytest.mark.parametrize("first", ["sha256", "blake3"])
@pytest.mark.parametrize("second", ["sha256", "blake3"])
def test_duplicates_are_compared_whatever_the_algorithm(
    store: Store, first: ImageDigest, second: ImageDigest
) -> None:
    instance = received(dataset=encoded())
    Inbox(store, 0, first).accept(instance, NOON)

    with capture_logs() as logs:
        assert not Inbox(store, 0, second).accept(received(dataset=encoded()), NOON).is_new
        assert not logs
        Inbox(store, 0, second).accept(received(dataset=encoded(patient_name="Roe")), NOON)

    assert [entry["event"] for entry in logs] == ["inbox.differs_from_first"]
    found = store.find_instance(instance.sop_instance_uid)
    assert found is not None
    assert found.dataset_digest == digest_of(instance.dataset, first)


def test_an_instance_in_a_second_series_is_refused(inbox: Inbox, store: Store) -> None:
    inbox.accept(received(dataset=encoded()), NOON)
    with pytest.raises(StoredInOtherSeries, match=r"part of another series, 1\.2\.3") as refused:
        inbox.accept(received(series_instance_uid="1.2.4"), NOON)
    assert refused.value.reason is RejectionReason.INVALID_INSTANCE
    assert files_in(store.data_dir / "instances") == ["1.2.3/1.2.3.1.dcm"]


def test_a_file_without_a_row_is_indexed_when_the_instance_is_sent_again(
    inbox: Inbox, store: Store
) -> None:
    instance = received(dataset=encoded())
    accepted = inbox.accept(instance, NOON)
    content = accepted.instance.path.read_bytes()
    crashed = store.data_dir / "crashed"
    # As after a crash between storing the file and indexing it: the row is missing.
    lost = crashed / "instances" / "1.2.3" / "1.2.3.1.dcm"
    lost.parent.mkdir(parents=True)
    lost.write_bytes(content)
    restarted = Store.open(sqlite_url(crashed), crashed)

    again = Inbox(restarted, 0).accept(instance, NOON)

    assert again.is_new
    assert again.instance.path == lost
    assert len(restarted.instances_of("1.2.3")) == 1
    assert files_in(crashed / "instances") == ["1.2.3/1.2.3.1.dcm"]
    restarted.close()


def test_the_row_describes_the_file_that_was_there_before_it(inbox: Inbox, store: Store) -> None:
    first, second = received(dataset=encoded()), received(dataset=encoded(patient_name="Roe^R"))
    path = store.data_dir / "instances" / "1.2.3" / "1.2.3.1.dcm"
    elsewhere = store.data_dir / "elsewhere"
    other = Store.open(sqlite_url(elsewhere), elsewhere)
    path.parent.mkdir(parents=True)
    path.write_bytes(Inbox(other, 0).accept(first, NOON).instance.path.read_bytes())
    expected = other.find_instance("1.2.3.1")
    other.close()

    with capture_logs() as logs:
        assert inbox.accept(second, NOON).is_new

    found = store.find_instance("1.2.3.1")
    assert found is not None
    assert expected is not None
    assert found.dataset_digest == expected.dataset_digest
    assert [entry["event"] for entry in logs] == ["inbox.differs_from_first"]


def test_a_damaged_file_without_a_row_is_replaced(inbox: Inbox, store: Store) -> None:
    path = store.data_dir / "instances" / "1.2.3" / "1.2.3.1.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    instance = received(dataset=encoded())
    assert inbox.accept(instance, NOON).is_new
    assert received_from_file(path, instance.origin) == instance


def test_an_instance_sent_on_many_associations_at_once_is_stored_once(
    inbox: Inbox, store: Store
) -> None:
    instance = received(dataset=encoded())
    with ThreadPoolExecutor(8) as associations:
        accepted = list(associations.map(lambda _: inbox.accept(instance, NOON), range(24)))
    assert [one.is_new for one in accepted].count(True) == 1
    assert len({one.instance.path for one in accepted}) == 1
    series = store.get_series("1.2.3")
    assert series is not None
    assert series.instance_count == 1
    assert files_in(store.data_dir / "incoming") == ["gate.lock"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_error_raises_transient_and_leaves_nothing_behind(
    inbox: Inbox, store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("node.store.files.folder.os.fsync", fails)
    with pytest.raises(Transient, match="cannot be stored"):
        inbox.accept(received(dataset=encoded()), NOON)
    assert files_in(store.data_dir / "instances") == []
    assert files_in(store.data_dir / "incoming") in ([], ["gate.lock"])
    assert series_in(store) == []

    monkeypatch.undo()
    assert inbox.accept(received(dataset=encoded()), NOON).is_new


def test_a_removed_series_folder_is_created_again(inbox: Inbox, store: Store) -> None:
    first = inbox.accept(received(dataset=encoded()), NOON).instance.path
    first.unlink()
    first.parent.rmdir()
    second = received(sop_instance_uid="1.2.3.2", dataset=encoded(sop_instance_uid="1.2.3.2"))
    assert inbox.accept(second, NOON).instance.path.is_file()


def test_incomplete_files_are_removed_unless_a_process_is_writing_them(
    inbox: Inbox, store: Store
) -> None:
    inbox.accept(received(dataset=encoded()), NOON)
    incoming = store.data_dir / "incoming"
    (incoming / "dead.part").write_bytes(b"half of it")
    with (incoming / "alive.part").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        assert inbox.remove_abandoned() == 1
        assert files_in(incoming) == ["alive.part", "gate.lock"]
    assert inbox.remove_abandoned() == 1
    assert len(store.instances_of("1.2.3")) == 1


def test_a_missing_file_is_stored_again(inbox: Inbox, store: Store) -> None:
    instance = received(dataset=encoded())
    path = inbox.accept(instance, NOON).instance.path
    path.unlink()
    assert not inbox.accept(instance, NOON).is_new
    assert received_from_file(path, instance.origin) == instance


def test_an_instance_that_arrives_while_its_series_is_cleared_is_kept(
    inbox: Inbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = received(dataset=encoded())
    path = inbox.accept(instance, NOON).instance.path
    store.record_decision("1.2.3", "{}", SeriesState.IGNORED, NOON, seen_count=1)
    find = store.find_instance

    def cleared_meanwhile(uid: str) -> object:
        found = find(uid)
        # The series is cleared after the earlier file was found and before the row is added.
        monkeypatch.setattr(store, "find_instance", find)
        return None if found else found

    def add(*arguments: Any) -> bool:
        monkeypatch.undo()
        assert store.clear_series("1.2.3", NOON)
        return store.add_instance(*arguments)

    monkeypatch.setattr(store, "find_instance", cleared_meanwhile)
    monkeypatch.setattr(store, "add_instance", add)
    assert inbox.accept(instance, NOON).is_new
    assert received_from_file(path, instance.origin) == instance
    assert [one.path for one in store.instances_of("1.2.3")] == [path]
