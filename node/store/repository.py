"""Base class of the store's repositories: access to the database and to the files."""

from pathlib import Path

from node.store.database import Database
from node.store.files import Files


class Repository:
    """Reads and writes tables of one database, and the files whose paths the rows hold.

    Paths in rows are relative to the data folder. The folder can therefore be moved, or be mounted
    at another path on another host.
    """

    def __init__(self, database: Database, data_dir: Path, files: Files) -> None:
        self._database = database
        self.data_dir = data_dir
        self.files = files

    def _to_row(self, path: Path | None) -> str | None:
        if path is None:
            return None
        absolute = Path.cwd() / path
        if absolute.is_relative_to(self.data_dir):
            return absolute.relative_to(self.data_dir).as_posix()
        return absolute.as_posix()

    def _from_row(self, path: str | None) -> Path | None:
        # Joining leaves an absolute path unchanged.
        return None if path is None else self.data_dir / path
