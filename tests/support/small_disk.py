"""A small file system for tests that can be filled and made read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_BALLAST_PIECE_BYTES = (1 << 20, 64 << 10, 4 << 10, 1 << 10)


@dataclass(frozen=True)
class SmallDisk:
    """A file system mounted at `folder`."""

    folder: Path

    def fill(self, *, free_bytes: int = 0) -> None:
        """Fills the file system until about `free_bytes` are left."""
        with self._ballast.open("ab") as ballast:
            size = ballast.tell()
            for piece in _BALLAST_PIECE_BYTES:
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(ballast.fileno(), size, piece)
                        size += piece
            ballast.truncate(size - free_bytes)

    def clear(self) -> None:
        """Deletes what `fill` has written."""
        self._ballast.unlink()

    def remount(self, mode: str) -> None:
        """Remounts it as "ro" or "rw"; no file on it may be open for writing."""
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[SmallDisk]:
    """Mounts one at `folder`: ext4 in a file beside it, or tmpfs without loop devices."""
    folder.mkdir(parents=True)
    image = folder.with_name(f"{folder.name}.ext4")
    with image.open("wb") as file:
        file.truncate(size_mib << 20)
    # -m 0: no blocks reserved for root, who runs these tests.
    # -b 4096: blocks as large as on real disks. SQLite maps a file in pages of that size, and
    # reserves space for each by its last byte alone.
    make = ["mkfs.ext4", "-q", "-m", "0", "-b", "4096", str(image)]
    mount = ["mount", "-o", "loop", str(image), str(folder)]
    memory = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "segnode-test", str(folder)]
    if not (_succeed(make, mount) or _succeed(memory)):
        pytest.skip("a file system cannot be mounted here: run as root, with CAP_SYS_ADMIN")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _succeed(*commands: list[str]) -> bool:
    with suppress(FileNotFoundError):
        return all(
            subprocess.run(command, check=False, capture_output=True).returncode == 0
            for command in commands
        )
    return False
