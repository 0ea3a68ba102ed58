"""The list of the images and results of a backup: path, size, digests.

It is an SQLite file, so that a list of millions of files needs little memory, and so that an
interrupted backup knows what it has.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from node.store.named_files import NamedFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    dataset_sha256 TEXT,
    modified_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wanted (path TEXT PRIMARY KEY, dataset_sha256 TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class CopiedFile:
    """A file in a backup.

    `dataset_digest` is that of a received image in the index. Of another file, `modified_at`
    is the time of its last change in the store, in seconds since 1970; None if that time was too
    recent to exclude a later change at the same time.
    """

    path: str
    size_bytes: int
    sha256: str
    dataset_digest: str | None
    modified_at: float | None


class FileList:
    """The list of one backup."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens the list of a backup that is being made; one that is damaged is begun again."""
        try:
            return cls._writable(path)
        except sqlite3.OperationalError:  # such as a full disk
            raise
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
            return cls._writable(path)

    @classmethod
    def _writable(cls, path: Path) -> Self:
        connection = sqlite3.connect(path)
        try:
            # The process may be killed at any time. After a power failure, the copies are checked
            # against the list, or the list is damaged and begun again.
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return cls(connection)

    @classmethod
    def open_complete(cls, path: Path) -> Self:
        """Opens the list of a complete backup, which may be on a read-only disk."""
        return cls(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True))

    def close(self) -> None:
        """Closes the list."""
        self._connection.close()

    def want(self, files: Iterable[NamedFile]) -> int:
        """Replaces the files that the backup has to hold; returns their number."""
        self._connection.execute("DELETE FROM wanted")
        self._connection.executemany(
            "INSERT OR IGNORE INTO wanted VALUES (?, ?)",
            ((file.path, file.dataset_digest) for file in files),
        )
        self._connection.commit()
        return self._number("SELECT COUNT(*) FROM wanted")

    def wanted(self, batch: int) -> Iterator[list[NamedFile]]:
        """Yields the files that the backup has to hold, in batches; others can be added."""
        last = ""
        while True:
            rows = self._connection.execute(
                "SELECT * FROM wanted WHERE path > ? ORDER BY path LIMIT ?", (last, batch)
            ).fetchall()
            if not rows:
                return
            yield [NamedFile(*row) for row in rows]
            last = rows[-1][0]

    def find(self, path: str) -> CopiedFile | None:
        """Returns the copy of a file; None if there is none."""
        row = self._connection.execute("SELECT * FROM files WHERE path = ?", (path,)).fetchone()
        return None if row is None else CopiedFile(*row)

    def add(self, file: CopiedFile) -> None:
        """Adds a copy, or replaces an earlier one; `commit` makes it last."""
        self._connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            (file.path, file.size_bytes, file.sha256, file.dataset_digest, file.modified_at),
        )

    def commit(self) -> None:
        """Makes what was added outlast a kill of the process."""
        self._connection.commit()

    def remove_others(self, lost: Iterable[str]) -> list[str]:
        """Removes copies of lost files and of files that are not wanted; returns their paths."""
        self._connection.executemany("DELETE FROM wanted WHERE path = ?", ((p,) for p in lost))
        others = "SELECT path FROM files WHERE path NOT IN (SELECT path FROM wanted)"
        paths = [row[0] for row in self._connection.execute(others)]
        self._connection.executemany("DELETE FROM files WHERE path = ?", ((p,) for p in paths))
        self._connection.commit()
        return paths

    def finish(self) -> None:
        """Drops what only the making of the backup needs."""
        self._connection.execute("DELETE FROM wanted")
        self._connection.commit()
        self._connection.execute("VACUUM")

    def files(self, batch: int) -> Iterator[list[CopiedFile]]:
        """Yields all copies in batches, ordered by path."""
        cursor = self._connection.execute("SELECT * FROM files ORDER BY path")
        while rows := cursor.fetchmany(batch):
            yield [CopiedFile(*row) for row in rows]

    def totals(self) -> tuple[int, int]:
        """Returns the number of copies and their size in bytes."""
        size = self._number("SELECT COALESCE(SUM(size_bytes), 0) FROM files")
        return self._number("SELECT COUNT(*) FROM files"), size

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])
