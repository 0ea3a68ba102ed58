"""Who may read what the node writes: its own user alone, unless a setting says otherwise."""

import stat
from enum import StrEnum
from pathlib import Path

_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


class Readers(StrEnum):
    """Who may read a file; the owner is the user that the node runs as."""

    OWNER = "owner"
    GROUP = "group"
    ALL = "all"

    @property
    def file_mode(self) -> int:
        """The permission bits of a file."""
        return {Readers.OWNER: 0o600, Readers.GROUP: 0o640, Readers.ALL: 0o644}[self]

    @property
    def folder_mode(self) -> int:
        """The permission bits of a folder; members of the group may also remove its files."""
        return {Readers.OWNER: 0o700, Readers.GROUP: 0o770, Readers.ALL: 0o755}[self]


def set_folder_mode(folder: Path, readers: Readers) -> None:
    """Sets the permission bits of a new folder, whatever the umask; keeps the set-group-ID bit."""
    special = stat.S_IMODE(folder.stat().st_mode) & _SPECIAL_BITS
    folder.chmod(readers.folder_mode | special)
