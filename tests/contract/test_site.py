"""What hosts that share a PostgreSQL find out about each other."""

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


def test_hosts_that_start_at_once_agree_on_their_folder(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    with ThreadPoolExecutor(8) as hosts:
        for store in hosts.map(lambda _: Store.open(url, tmp_path), range(8)):
            store.close()


def test_a_host_with_another_folder_than_the_others_is_told_so(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    Store.open(url, tmp_path / "shared").close()
    with pytest.raises(Misconfigured, match="is not the folder of this database") as caught:
        Store.open(url, tmp_path / "forgotten mount")
    assert caught.value.key == "data_dir"


def member(store: Store, name: str) -> Membership:
    """A worker at a place of its own."""
    made = Membership(store, name, f"place of {name}", lambda: NOON)
    made.join()
    return made


def test_the_first_leads_until_it_leaves(store: Store) -> None:
    first, second = member(store, "first"), member(store, "second")
    for worker in (first, second):
        worker.send_heartbeat()
    assert (first.leads, second.leads) == (True, False)
    first.leave()
    second.send_heartbeat()
    assert second.leads


def test_a_worker_whose_beats_stand_still_is_given_up_and_finds_it_out(store: Store) -> None:
    silent, awake = member(store, "silent"), member(store, "awake")
    silent.send_heartbeat()
    for _ in range(8):
        awake.send_heartbeat()
    silent.send_heartbeat()
    for _ in range(9):
        awake.send_heartbeat()
    assert [awake.leads] == [False], "the other has been heard of meanwhile"
    for _ in range(3):
        awake.send_heartbeat()
    assert [awake.leads] == [True]
    with pytest.raises(WorkerRemoved):
        silent.send_heartbeat()


def test_a_worker_that_starts_again_takes_its_old_place(store: Store) -> None:
    member(store, "other")
    member(store, "before the fall")
    again = Membership(store, "after the fall", "place of before the fall", lambda: NOON)
    again.join()
    assert [worker.name for worker in store.workers()] == ["other", "after the fall"]
