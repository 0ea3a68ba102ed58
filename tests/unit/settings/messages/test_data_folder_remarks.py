"""Remarks on the folders that the node writes to."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.messages import data_folder_remarks
from node.settings.messages.remarks import remarks
from tests.unit.settings.site import VALID, write

_MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
tmpfs /run tmpfs rw 0 0
nas:/a /run/images nfs4 rw 0 0
/dev/sdb1 /mnt/a\\040b ext4 rw 0 0
tmpfs /mnt/a\\040b/fast tmpfs rw 0 0
/dev/sdc1 /srv tmpfs rw 0 0
/dev/sdc1 /srv xfs rw 0 0
"""


def _found(folder: Path, data_dir: str, added: str = "") -> list[str]:
    text = VALID.replace('"data"', f'"{data_dir}"') + added
    return list(remarks(load_settings(write(folder, text))))


@pytest.mark.parametrize(
    ("data_dir", "remark"),
    [
        ("/proc/x/y", "data_dir /proc/x/y is on a file system of the kernel (proc)"),
        ("/run/segnode", "data_dir /run/segnode is in memory (tmpfs): when the machine stops"),
        ("/mnt/a b/fast/x", "data_dir /mnt/a b/fast/x is in memory (tmpfs)"),
        ("/mnt/a b/slow", None),
        ("/run/images/x", None),
        ("/running", None),
        ("/srv/x", None),
    ],
)
def test_a_data_folder_that_keeps_nothing_has_a_remark(
    tmp_path: Path, mounts: Path, data_dir: str, remark: str | None
) -> None:
    mounts.write_text(_MOUNTS)
    found = _found(tmp_path, data_dir)
    assert len(found) == (remark is not None)
    assert all(each.startswith(remark or "") for each in found)


def test_a_link_into_the_kernel_has_a_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder_remarks, "_MOUNTS", Path("/proc/self/mounts"))
    (tmp_path / "data").symlink_to("/proc/self")
    text = f"data_dir {tmp_path}/data is on a file system of the kernel (proc)"
    assert [each for each in _found(tmp_path, "data") if each.startswith(text)]


def test_a_folder_destination_may_be_in_memory_and_not_in_the_kernel(
    tmp_path: Path, mounts: Path
) -> None:
    mounts.write_text(_MOUNTS)
    found = {
        path: _found(tmp_path, "data", f'[destinations.pacs2]\nkind = "folder"\npath = "{path}"\n')[
            :1
        ]
        for path in ("/run/out", "/proc/out")
    }
    assert not [each for each in found["/run/out"] if "file system" in each or "memory" in each]
    (remark,) = found["/proc/out"]
    assert remark.startswith("Destination 'pacs2': its folder /proc/out is on a file system of")


def test_a_machine_that_lists_no_file_systems_has_no_remark(tmp_path: Path, mounts: Path) -> None:
    mounts.unlink()
    assert _found(tmp_path, "/proc/x") == []
