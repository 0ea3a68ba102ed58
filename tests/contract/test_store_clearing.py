"""Clearing of finished series, on SQLite and on PostgreSQL."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.errors import Transient
from node.domain.job import JobState
from node.domain.series import Deletion, SeriesState
from node.store import Store
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of


def cleared(store: Store, *, before: datetime = LATER) -> tuple[list[str], list[Path]]:
    """Clears all clearable series; returns their UIDs and the deleted files."""
    deleted: list[Path] = []
    uids = [str(series.series_instance_uid) for series in store.clearable_series(before)]
    with patch.object(store.files, "remove", deleted.extend):
        assert all(store.clear_series(uid, LATER) for uid in uids)
    return uids, deleted


def decided(store: Store, state: SeriesState) -> None:
    series = store.get_series(SERIES)
    assert series is not None
    assert store.record_decision(SERIES, "{}", state, NOON, seen_count=series.instance_count)


def test_an_ignored_series_is_cleared_after_its_retention_time(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")
    assert cleared(store) == ([], [])  # not decided
    decided(store, SeriesState.IGNORED)
    assert cleared(store, before=NOON) == ([], [])  # too young
    uids, deleted = cleared(store)
    assert uids == [SERIES]
    assert [path.name for path in deleted] == ["1.2.3.1.dcm", "1.2.3.2.dcm"]
    assert store.instances_of(SERIES) == ()
    series = store.get_series(SERIES)
    assert series is not None
    assert (series.instance_count, series.state) == (0, SeriesState.IGNORED)
    assert store.history_of(SERIES)[-1].event == "series.cleared"
    assert cleared(store) == ([], [])


def test_a_series_with_an_unfinished_job_is_not_cleared(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    decided(store, SeriesState.ACCEPTED)
    for state in ("queued", "running", "delivering", "parked", "queued", "running", "delivering"):
        if state != store.list_jobs()[0].state:
            store.change_job(job.job_id, JobState(state), NOON, result_path=store.data_dir / "r")
        assert cleared(store) == ([], [])
        assert not store.clear_series(SERIES, LATER)
    store.change_job(job.job_id, JobState.DELIVERED, NOON)
    assert store.request_start(SERIES, NOON)
    assert cleared(store) == ([], [])  # to be decided again
    decided(store, SeriesState.ACCEPTED)
    _, deleted = cleared(store)
    assert [path.name for path in deleted] == ["1.2.3.1.dcm", "r"]
    after = store.get_job(job.job_id)
    assert after is not None
    assert (after.state, after.result_path) == (JobState.DELIVERED, None)


def test_a_cleared_series_that_is_sent_again_is_received_again(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    decided(store, SeriesState.IGNORED)
    cleared(store)
    add_instances(store, "1.2.3.1", now=LATER)
    series = store.get_series(SERIES)
    assert series is not None
    assert (series.instance_count, series.state) == (1, SeriesState.RECEIVING)


def test_a_series_whose_files_cannot_be_deleted_stays_unchanged(store: Store) -> None:
    def failing_remove(paths: Collection[Path]) -> None:
        raise Transient("a file cannot be deleted")

    add_instances(store, "1.2.3.1")
    decided(store, SeriesState.IGNORED)
    with patch.object(store.files, "remove", failing_remove), pytest.raises(Transient):
        store.clear_series(SERIES, LATER)
    assert len(store.instances_of(SERIES)) == 1


def test_a_person_deletes_a_finished_series_and_the_history_says_who_and_why(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    jdoe, reason = AuditActor("jdoe", AuditInterface.CLI), "request of the patient"
    with patch.object(store.files, "remove") as remove:
        undecided = store.delete_series(SERIES, LATER, by=jdoe, reason=reason)
        assert undecided is Deletion.UNFINISHED
        decided(store, SeriesState.IGNORED)
        deletion = store.delete_series(SERIES, LATER, by=jdoe, reason=reason)
        assert deletion is Deletion.DELETED
    ((deleted,),) = (call.args for call in remove.call_args_list)
    assert [path.name for path in deleted] == ["1.2.3.1.dcm"]
    assert store.instances_of(SERIES) == ()
    last = store.history_of(SERIES)[-1]
    assert last.event == "series.deleted"
    assert last.detail == "1 instance, by jdoe: request of the patient"
