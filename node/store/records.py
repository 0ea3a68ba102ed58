"""What every part of the store shares: the database and the folder that files live under."""

from pathlib import Path

from node.store.database import Database
from node.store.files import Files


class Records:
    """A set of tables in one database, and the files that rows name by their paths.

    Paths in rows are relative to the data folder, so that it can be moved, or be elsewhere on
    another host.
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
        # An absolute path in a row stays as it is when joined.
        return None if path is None else self.data_dir / path
