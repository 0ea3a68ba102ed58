"""Hosts that share a PostgreSQL database: the same files, one leader, removal of dead workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.runtime.heartbeat import Membership, WorkerRemoved
from node.store import Store
from tests.support.factories import NOON
from tests.support.servers.postgresql_server import PostgresqlServer


@pytest.fixture
def store(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Store]:
    """The store of a new site."""
    opened = Store.open(postgresql.new_database(), tmp_path)
    yield opened
    opened.close()


def test_hosts_that_start_at_once_share_one_data_folder(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    with ThreadPoolExecutor(8) as hosts:
        for store in hosts.map(lambda _: Store.open(url, tmp_path), range(8)):
            store.close()


def test_a_host_with_a_different_data_folder_is_a_configuration_error(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    Store.open(url, tmp_path / "shared").close()
    with pytest.raises(Misconfigured, match="is not the folder of this database") as caught:
        Store.open(url, tmp_path / "missing mount")
    assert caught.value.key == "data_dir"


def member(store: Store, name: str) -> Membership:
    """A worker in its own slot."""
    made = Membership(store, name, f"slot of {name}", lambda: NOON)
    made.join()
    return made


def test_the_first_worker_leads_until_it_leaves(store: Store) -> None:
    first, second = member(store, "first"), member(store, "second")
    for worker in (first, second):
        worker.send_heartbeat()
    assert (first.leads, second.leads) == (True, False)
    first.leave()
    second.send_heartbeat()
    assert second.leads


def test_a_worker_whose_heartbeat_stops_is_removed_and_detects_it(store: Store) -> None:
    silent, awake = member(store, "silent"), member(store, "awake")
    silent.send_heartbeat()
    for _ in range(8):
        awake.send_heartbeat()
    silent.send_heartbeat()
    for _ in range(9):
        awake.send_heartbeat()
    assert [awake.leads] == [False], "the other worker sent a heartbeat in the meantime"
    for _ in range(3):
        awake.send_heartbeat()
    assert [awake.leads] == [True]
    with pytest.raises(WorkerRemoved):
        silent.send_heartbeat()


def test_a_restarted_worker_replaces_the_one_in_its_slot(store: Store) -> None:
    member(store, "other")
    member(store, "before the crash")
    again = Membership(store, "after the crash", "slot of before the crash", lambda: NOON)
    again.join()
    assert [worker.name for worker in store.workers()] == ["other", "after the crash"]
