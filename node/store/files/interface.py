"""What every place of files promises."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class KeptFile:
    """A file that is kept; `changed_at` in seconds since 1970."""

    path: Path
    changed_at: float


class Files(Protocol):
    """Files by their paths under the data folder, wherever they are kept.

    What a method has kept or removed is so for good once it returns. Any method raises Transient
    where the place does not answer, is full or cannot be written.
    """

    def add(self, path: Path, pieces: Sequence[bytes]) -> bool:
        """Keep a new file of these pieces; False, and nothing changed, where there is one."""

    def put(self, path: Path, pieces: Sequence[bytes]) -> None:
        """Keep a file of these pieces, in place of any other."""

    def holds(self, path: Path) -> bool:
        """Whether there is such a file."""

    def at_hand(self, paths: Sequence[Path]) -> AbstractContextManager[list[Path]]:
        """Where these files can be read while the block lasts, in their order, under their names.

        One that is not kept is not there either.
        """

    def remove(self, paths: Collection[Path]) -> None:
        """Forget these files, as far as they are there."""

    def below(self, folder: Path) -> Iterator[KeptFile]:
        """Every file in the folder and those within it, always in the same order."""

    def check_writable(self) -> None:
        """See that something can be kept now; answers within seconds."""

    def free_bytes(self) -> int | None:
        """How much more can be kept; None where nobody counts it."""

    def remove_leftovers(self) -> int:
        """Delete what processes that died have left half done; how many files or folders."""
