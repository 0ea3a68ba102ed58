"""Remarks on folders that the node writes to: who else may read them, and whether they last."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from node.settings.destinations import FolderDestination
from node.settings.options import Settings

# The file systems of this process (Linux), each with its folder and type.
_MOUNTS = Path("/proc/self/mounts")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
# Their files are views of the kernel, and nothing can be stored.
_OF_THE_KERNEL = frozenset(
    {"binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs"}
    | {"efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs"}
    | {"securityfs", "sysfs", "tracefs"}
)


def data_folder_remarks(settings: Settings) -> Iterator[str]:
    """Yields one sentence for each."""
    yield from _open_data_folder(settings)
    yield from _fleeting_folders(settings)


def _open_data_folder(settings: Settings) -> Iterator[str]:
    """Yields who may read the data folder besides the node, and which readers it keeps out."""
    data_dir = settings.data_dir
    mode = stat.S_IMODE(data_dir.stat().st_mode) if data_dir.is_dir() else 0
    inside = [
        name
        for name, destination in settings.destinations.items()
        if isinstance(destination, FolderDestination)
        and destination.readable_by != "owner"
        and destination.path.is_relative_to(data_dir)
    ]
    for name in inside:
        yield (
            f"Destination {name!r}: its folder is in data_dir, which is for the node alone; for "
            'readers of it, choose a folder elsewhere, otherwise set readable_by = "owner".'
        )
    if mode & stat.S_IRWXO:
        closed = "all in it but that folder" if inside else "it"
        yield (
            f"data_dir {data_dir}: every user of this machine can read it (mode {mode:03o}); the "
            f"node closes {closed} when it starts."
        )
    elif mode & stat.S_IRWXG:
        yield (
            f"data_dir {data_dir}: its group can read it (mode {mode:03o}); if that is not meant, "
            "run chmod 700 on it."
        )


def _fleeting_folders(settings: Settings) -> Iterator[str]:
    """Yields folders on file systems that keep no files, or only until the machine restarts."""
    folders = {f"data_dir {settings.data_dir}": settings.data_dir}
    for name, destination in settings.destinations.items():
        if isinstance(destination, FolderDestination):
            folders[f"Destination {name!r}: its folder {destination.path}"] = destination.path
    for subject, folder in folders.items():
        file_system = _file_system_of(folder)
        if file_system in _OF_THE_KERNEL:
            yield (
                f"{subject} is on a file system of the kernel ({file_system}), which stores no "
                "files: choose a folder on a disk."
            )
        elif file_system in _IN_MEMORY and folder == settings.data_dir:
            yield (
                f"{subject} is in memory ({file_system}): when the machine stops, every image and "
                "result is lost. Choose a folder on a disk."
            )


def _file_system_of(folder: Path) -> str:
    """Returns the type of the file system that holds the folder; empty if it is not known."""
    resolved = Path(os.path.realpath(folder))  # `resolve` raises for links in a circle
    innermost, found = Path(), ""
    mounts = _MOUNTS.read_text("utf-8", "surrogateescape") if _MOUNTS.is_file() else ""
    for line in mounts.splitlines():
        _, mounted, file_system, *_ = line.split(" ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mounted))
        # Of two at the same folder, the later one hides the other.
        if resolved.is_relative_to(point) and len(point.parts) >= len(innermost.parts):
            innermost, found = point, file_system
    return found
