"""The interface of every file storage."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredFile:
    """A stored file; `modified_at` is in seconds since 1970."""

    path: Path
    modified_at: float


class Files(Protocol):
    """Files identified by their paths under the data folder, wherever they are stored.

    A change is durable when the method returns. Any method raises Transient if the storage does not
    answer, is full or cannot be written.
    """

    def add(self, path: Path, pieces: Sequence[bytes]) -> bool:
        """Stores a new file; returns False, and changes nothing, if the file exists."""

    def put(self, path: Path, pieces: Sequence[bytes]) -> None:
        """Stores a file; replaces an earlier one."""

    def exists(self, path: Path) -> bool:
        """Whether the file exists."""

    def is_surely_new(self, path: Path) -> bool:
        """Whether the storage knows without a request that there is no such file."""

    def local_copies(self, paths: Sequence[Path]) -> AbstractContextManager[list[Path]]:
        """Yields local paths of these files, in the same order and under the same file names.

        The paths are valid within the block. The local path of a file that is not stored does not
        exist either.
        """

    def scratch_folder(self) -> AbstractContextManager[Path]:
        """Creates an empty local folder, and deletes it with its files at the end of the block."""

    def remove(self, paths: Collection[Path]) -> None:
        """Deletes these files; ignores missing ones."""

    def iter_files(self, folder: Path) -> Iterator[StoredFile]:
        """Yields every file in the folder and its subfolders, always in the same order."""

    def check_writable(self) -> None:
        """Checks that a file can be stored now; returns within seconds."""

    def free_bytes(self) -> int | None:
        """Returns the free capacity; None if the storage does not report it."""

    def remove_abandoned(self) -> int:
        """Deletes incomplete files and folders of dead processes; returns their number."""
