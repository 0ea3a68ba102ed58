"""Workers of one host have places, and keep them over a restart."""

from pathlib import Path

from node.runtime.locks import lock_numbered_worker


def test_two_workers_of_a_host_have_places_of_their_own_and_take_them_again(
    tmp_path: Path,
) -> None:
    with (
        lock_numbered_worker(tmp_path, "host") as first,
        lock_numbered_worker(tmp_path, "host") as second,
    ):
        assert first != second
    with lock_numbered_worker(tmp_path, "host") as again:
        assert again == first


def test_hosts_of_one_name_with_folders_of_their_own_have_other_places(tmp_path: Path) -> None:
    with lock_numbered_worker(tmp_path / "a", "localhost") as one:
        pass
    with lock_numbered_worker(tmp_path / "b", "localhost") as other:
        pass
    assert one != other
