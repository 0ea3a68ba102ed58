"""Retention deletes finished series and never unfinished ones."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.maintenance.retention import Retention
from node.store import Store
from tests.support.factories import NOON, encoded, received, sqlite_url

GIB = 1 << 30


class Usage(NamedTuple):
    """The result of `shutil.disk_usage`."""

    total: int
    used: int
    free: int


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


def receive(store: Store, series: str, now: datetime, *, decided: bool = True) -> Path:
    """Receives a series of one instance; returns its file."""
    dataset = encoded(sop_instance_uid=f"{series}.1", series_instance_uid=series)
    instance = received(sop_instance_uid=f"{series}.1", series_instance_uid=series, dataset=dataset)
    path = Inbox(store, 0).accept(instance, now).instance.path
    if decided:
        store.record_decision(series, "{}", SeriesState.IGNORED, now, seen_count=1)
    return path


def retention(store: Store, *, keep: timedelta | None = None, free_bytes: int = 0) -> Retention:
    return Retention(store, keep, free_bytes, lambda: NOON)


def test_without_a_limit_nothing_is_deleted(store: Store) -> None:
    path = receive(store, "1.1", NOON - timedelta(days=1000))
    retention(store).poll()
    assert path.is_file()


def test_finished_series_are_deleted_after_their_retention_time(store: Store) -> None:
    old, young, undecided = (
        receive(store, "1.1", NOON - timedelta(days=8)),
        receive(store, "1.2", NOON - timedelta(days=6)),
        receive(store, "1.3", NOON - timedelta(days=8), decided=False),
    )
    retention(store, keep=timedelta(days=7)).poll()
    assert not old.parent.exists()
    assert young.is_file()
    assert undecided.is_file()


def test_low_disk_space_deletes_the_oldest_series_and_no_more_than_needed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [receive(store, f"1.{day}", NOON - timedelta(days=day)) for day in (5, 9, 7)]
    just_now = receive(store, "1.99", NOON)

    def usage(_folder: Path) -> Usage:
        """A disk on which each series takes one gibibyte."""
        left = sum(path.is_file() for path in (*paths, just_now))
        return Usage(5 * GIB, left * GIB, (5 - left) * GIB)

    monkeypatch.setattr("node.store.files.folder.shutil.disk_usage", usage)
    retention(store, free_bytes=2 * GIB).poll()
    assert [path.is_file() for path in paths] == [True, False, True]
    retention(store, free_bytes=5 * GIB).poll()
    assert not any(path.is_file() for path in paths)
    assert just_now.is_file()


def test_more_series_are_deleted_than_fit_in_one_batch(store: Store) -> None:
    for number in range(250):
        receive(store, f"1.{number}", NOON - timedelta(days=8))
    retention(store, keep=timedelta(days=7)).poll()
    assert store.clearable_series(NOON) == []
    assert list((store.data_dir / "instances").iterdir()) == []
