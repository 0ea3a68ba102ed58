"""Worker slots: unique on a host and stable across restarts."""

from pathlib import Path

from node.runtime.locks import lock_numbered_worker


def test_two_workers_of_a_host_have_different_slots_and_keep_them_after_a_restart(
    tmp_path: Path,
) -> None:
    with (
        lock_numbered_worker(tmp_path, "host") as first,
        lock_numbered_worker(tmp_path, "host") as second,
    ):
        assert first != second
    with lock_numbered_worker(tmp_path, "host") as again:
        assert again == first


def test_hosts_with_the_same_name_and_separate_folders_have_different_slots(tmp_path: Path) -> None:
    with lock_numbered_worker(tmp_path / "a", "localhost") as one:
        pass
    with lock_numbered_worker(tmp_path / "b", "localhost") as other:
        pass
    assert one != other
