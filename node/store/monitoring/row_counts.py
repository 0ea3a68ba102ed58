"""How many series and jobs there are, by state and by model, without reading them.

Triggers of the database add a row for each change of a number, so that no transaction waits for
another, and so that hosts with an earlier version count as well. A sum replaces these rows.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, select

from node.store.monitoring.tables import ROW_COUNTS
from node.store.repository import Repository

# Below this number of rows, a sum is not worth its transaction.
_MIN_ROWS = 200


class Counted(StrEnum):
    """What is counted; the values are stored."""

    SERIES = "series"  # by state
    JOBS = "jobs"  # by state
    LISTED = "listed"  # series, by the states under which they are listed
    MODELS = "models"  # jobs, by name and version of the model


class RowCounts(Repository):
    """Keeps the table of numbers short."""

    def sum_up_counts(self) -> None:
        """Replaces the rows by their sums, where they have become many."""
        many = select(ROW_COUNTS.c.number).offset(_MIN_ROWS).limit(1)
        with self._database.reading() as connection:
            if connection.execute(many).first() is None:
                return
        columns = (ROW_COUNTS.c.counted, ROW_COUNTS.c.name, ROW_COUNTS.c.number)
        sums: Counter[tuple[str, str]] = Counter()
        with self._database.writing() as connection:
            # The rows that are deleted are those that count: others may be added meanwhile.
            for counted, name, number in connection.execute(delete(ROW_COUNTS).returning(*columns)):
                sums[counted, name] += number
            rows = [
                {"counted": counted, "name": name, "number": number}
                for (counted, name), number in sums.items()
                if number
            ]
            if rows:
                connection.execute(insert(ROW_COUNTS), rows)


def numbers_of(connection: Connection, counted: Counted) -> Mapping[str, int]:
    """Returns how many there are by name, without names of which there are none."""
    total = func.sum(ROW_COUNTS.c.number)
    query = (
        select(ROW_COUNTS.c.name, total)
        .where(ROW_COUNTS.c.counted == counted)
        .group_by(ROW_COUNTS.c.name)
    )
    return {name: int(number) for name, number in connection.execute(query) if number}


def number_of(connection: Connection, counted: Counted, name: str) -> int:
    """Returns how many there are with that name."""
    query = select(func.coalesce(func.sum(ROW_COUNTS.c.number), 0)).where(
        ROW_COUNTS.c.counted == counted, ROW_COUNTS.c.name == name
    )
    return int(connection.execute(query).scalar_one())
