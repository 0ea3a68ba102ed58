"""The files that a database names: what a backup has to hold besides the database itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, inspect, select
from sqlalchemy.engine import Connection

from node.store.evaluation.tables import SHADOW_RUNS
from node.store.schema import INSTANCES, JOBS, RESULT_OBJECTS

# Columns that hold a path, or a list of paths, besides that of received images.
COLUMNS_WITH_PATHS: tuple[Column[Any], ...] = (
    JOBS.c.result_path,
    JOBS.c.picture_path,
    RESULT_OBJECTS.c.paths,
    SHADOW_RUNS.c.result_path,
)
_ROWS_PER_FETCH = 1000


@dataclass(frozen=True)
class NamedFile:
    """A file as the database names it; `path` is relative to the data folder.

    The digest of the data set is known of received images alone.
    """

    path: str
    dataset_digest: str | None = None


def named_files(connection: Connection) -> Iterator[NamedFile]:
    """Yields the files that the database names, images first; a file can come more than once.

    The schema may be that of an earlier version.
    """
    images = select(INSTANCES.c.path, INSTANCES.c.dataset_digest)
    for row in connection.execute(images.execution_options(yield_per=_ROWS_PER_FETCH)):
        yield NamedFile(row.path, row.dataset_digest)
    existing = set(inspect(connection).get_table_names())
    for column in COLUMNS_WITH_PATHS:
        if column.table.description not in existing:
            continue
        query = select(column).where(column.is_not(None))
        for value in connection.execute(
            query.execution_options(yield_per=_ROWS_PER_FETCH)
        ).scalars():
            for path in [value] if isinstance(value, str) else value:
                yield NamedFile(path)
