"""A machine on which every folder is on a disk, whatever holds the folders of the tests."""

from pathlib import Path

import pytest

from node.settings.messages import data_folder_remarks


@pytest.fixture(autouse=True)
def mounts(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that lists the file systems, as Linux writes it."""
    file = tmp_path_factory.mktemp("machine") / "mounts"
    file.write_text("/dev/sda1 / ext4 rw,relatime 0 0\n")
    monkeypatch.setattr(data_folder_remarks, "_MOUNTS", file)
    return file
