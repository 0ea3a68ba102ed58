"""A folder as a destination, and files that are complete under their final name."""

import os
import stat
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from node.delivery.destination import ResultFile
from node.delivery.folder import Folder
from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.store.files.access import Readers
from node.store.files.durable import durable_file


def a_result(folder: Path) -> ResultFile:
    path = folder / "result.dcm"
    path.write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    return ResultFile(path, Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))


def test_a_result_is_stored_below_its_study_and_series(tmp_path: Path) -> None:
    result = a_result(tmp_path)
    Folder("archive", tmp_path / "archive").deliver([result])

    kept = tmp_path / "archive" / "1.2" / "1.2.3" / "1.2.3.4.dcm"
    assert kept.read_bytes() == result.path.read_bytes()


def test_a_delivery_leaves_no_temporary_files(tmp_path: Path) -> None:
    result = a_result(tmp_path)
    destination = Folder("archive", tmp_path / "archive")

    destination.deliver([result])
    destination.deliver([result])

    assert len([p for p in (tmp_path / "archive").rglob("*") if p.is_file()]) == 1


def test_a_missing_result_file_is_reported(tmp_path: Path) -> None:
    result = a_result(tmp_path)
    result.path.unlink()

    with pytest.raises(Transient, match="No such file"):
        Folder("archive", tmp_path / "archive").deliver([result])


def test_an_interrupted_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"earlier")

    with pytest.raises(ZeroDivisionError), durable_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError

    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("readers", "folder_mode", "file_mode"),
    [(Readers.OWNER, 0o700, 0o600), (Readers.GROUP, 0o770, 0o640), (Readers.ALL, 0o755, 0o644)],
)
def test_the_readers_of_a_result_do_not_depend_on_the_umask(
    tmp_path: Path, umask: int, readers: Readers, folder_mode: int, file_mode: int
) -> None:
    earlier = os.umask(umask)
    try:
        Folder("x", tmp_path / "x", readers=readers).deliver([a_result(tmp_path)])
    finally:
        os.umask(earlier)

    folders = [tmp_path / "x", tmp_path / "x" / "1.2", tmp_path / "x" / "1.2" / "1.2.3"]
    assert {mode_of(folder) for folder in folders} == {folder_mode}
    assert mode_of(folders[-1] / "1.2.3.4.dcm") == file_mode


def test_new_folders_keep_the_group_of_a_folder_that_passes_it_on(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    Folder("x", shared, readers=Readers.GROUP).deliver([a_result(tmp_path)])
    assert mode_of(shared / "1.2" / "1.2.3") == 0o2770


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
