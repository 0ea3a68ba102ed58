"""Revisions of the configuration and the processes that use them, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from node.store import Store
from node.store.configuration.revisions import Revision, RevisionConflict, RevisionDraft
from tests.support.factories import LATER, NOON

FIRST = RevisionDraft("quiet_seconds = 1\n", "Ada", "first")
SECOND = RevisionDraft("quiet_seconds = 2\n", "Bob", "slow scanner")


def test_a_new_store_has_no_revision(store: Store) -> None:
    assert store.active_revision_number() is None
    assert store.active_revision() is None
    assert store.get_revision(1) is None
    assert store.list_revisions(10) == []


def test_a_revision_becomes_active_with_its_number_and_is_in_the_trail(store: Store) -> None:
    first = store.activate_revision(FIRST, None, NOON)
    second = store.activate_revision(SECOND, 1, LATER)
    assert first == Revision(1, FIRST.text, "Ada", NOON, "first", None)
    assert second == Revision(2, SECOND.text, "Bob", LATER, "slow scanner", 1)
    assert (store.active_revision_number(), store.active_revision()) == (2, second)
    assert store.get_revision(1) == first
    assert store.list_revisions(10) == [second, first]
    assert store.list_revisions(1, below=2) == [first]
    assert [event.detail for event in store.history_of("configuration")] == [
        "revision 1 by Ada: first",
        "revision 2 by Bob: slow scanner",
    ]


@pytest.mark.parametrize("base", [None, 1, 7])
def test_a_change_of_another_revision_than_the_active_one_is_a_conflict(
    store: Store, base: int | None
) -> None:
    store.activate_revision(FIRST, None, NOON)
    active = store.activate_revision(SECOND, 1, LATER)
    with pytest.raises(RevisionConflict, match=r"Bob saved it at .*slow scanner") as caught:
        store.activate_revision(FIRST, base, LATER)
    assert caught.value.active == active
    assert store.list_revisions(10)[0] == active


def test_of_changes_at_the_same_time_one_becomes_active(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    store.activate_revision(FIRST, None, NOON)
    other = Store.open(database_url, tmp_path)

    def change(number: int) -> bool:
        try:
            draft = RevisionDraft(f"quiet_seconds = {number}\n", "Ada", "a race")
            (store, other)[number % 2].activate_revision(draft, 1, LATER)
        except RevisionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(change, range(8))) == 1
    other.close()
    assert [each.number for each in store.list_revisions(10)] == [2, 1]


def test_a_process_reports_its_revision_and_since_when(store: Store) -> None:
    soon = NOON + timedelta(seconds=30)
    store.report_revision("host/worker", 1, "", NOON)
    store.report_revision("host/worker", 1, "", soon)
    (process,) = store.configured_processes(NOON)
    assert (process.number, process.since, process.reported_at) == (1, NOON, soon)
    store.report_revision("host/worker", 1, "there is no model 'x'", LATER)
    (process,) = store.configured_processes(NOON)
    assert (process.problem, process.since) == ("there is no model 'x'", LATER)
    assert store.configured_processes(LATER + timedelta(seconds=1)) == []
