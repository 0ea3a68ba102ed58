"""The data folder of an earlier version is closed to the other users of the machine."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from node.runtime.data_folder import close_to_others


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder as earlier versions created it."""
    folder = tmp_path / "data"
    (folder / "instances" / "1.2").mkdir(parents=True)
    for name in ("segnode.db", "segnode.db-wal", "listener.lock"):
        (folder / name).touch()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def test_a_data_folder_that_everybody_reads_is_closed(data: Path) -> None:
    close_to_others(data, data / "segnode.db", [data.parent / "elsewhere"])
    assert mode_of(data) == 0o700
    assert mode_of(data / "segnode.db") == mode_of(data / "segnode.db-wal") == 0o600


def test_a_data_folder_that_a_group_reads_stays_as_a_person_has_set_it(data: Path) -> None:
    data.chmod(0o750)
    close_to_others(data, data / "segnode.db")
    assert mode_of(data) == 0o750


def test_readers_of_a_folder_in_the_data_folder_keep_it(data: Path) -> None:
    shared = data / "archive" / "results"
    shared.mkdir(parents=True)
    for folder in (shared.parent, shared):
        folder.chmod(0o755)
    close_to_others(data, data / "segnode.db", [shared])
    assert mode_of(data) == mode_of(shared.parent) == mode_of(shared) == 0o755
    assert mode_of(data / "instances") == 0o700
    assert mode_of(data / "listener.lock") == mode_of(data / "segnode.db") == 0o600


def test_a_link_in_the_data_folder_is_not_followed(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (data / "link").symlink_to(outside)
    close_to_others(data, None, [data / "archive"])
    assert mode_of(outside) == 0o755


def test_a_data_folder_that_does_not_exist_yet_is_no_error(tmp_path: Path) -> None:
    close_to_others(tmp_path / "data", tmp_path / "data" / "segnode.db")
    assert list(tmp_path.iterdir()) == []


def test_what_a_command_writes_is_for_its_user_alone(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        subprocess.run(
            [sys.executable, "-m", "node.cli", "jobs", "list"],
            cwd=tmp_path,
            env={**os.environ, "SEGNODE_DATA_DIR": str(tmp_path / "data")},
            check=True,
            capture_output=True,
        )
    finally:
        os.umask(earlier)
    written = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert len(written) > 1
    assert [path for path in written if mode_of(path) & 0o077] == []
