"""Workers of one host have places, and keep them over a restart."""

from pathlib import Path

from node.runtime.locks import worker_of_many


def test_two_workers_of_a_host_have_places_of_their_own_and_take_them_again(
    tmp_path: Path,
) -> None:
    with worker_of_many(tmp_path, "host") as first, worker_of_many(tmp_path, "host") as second:
        assert first != second
    with worker_of_many(tmp_path, "host") as again:
        assert again == first


def test_hosts_of_one_name_with_folders_of_their_own_have_other_places(tmp_path: Path) -> None:
    with worker_of_many(tmp_path / "a", "localhost") as one:
        pass
    with worker_of_many(tmp_path / "b", "localhost") as other:
        pass
    assert one != other
