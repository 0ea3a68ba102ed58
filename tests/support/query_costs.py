"""What a query costs, counted instead of timed: steps of SQLite, rows that PostgreSQL reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from node.store import Store

Statement = tuple[str, Any]
_READS_ROWS = ("SELECT", "UPDATE", "DELETE")


@contextmanager
def statements_of(store: Store) -> Iterator[list[Statement]]:
    """Yields the list of the queries that run in the block, with their parameters."""
    seen: list[Statement] = []

    def note(_connection: object, _cursor: object, sql: str, values: Any, *_: object) -> None:
        if sql.startswith(_READS_ROWS):
            seen.append((sql, values))

    engine = store._database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def let_tables_seem_large(store: Store) -> None:
    """Makes PostgreSQL plan as if each table had ten million rows with the values that it has.

    It reads small tables whole otherwise, whatever their indexes are. SQLite plans by the indexes.
    """
    if store._database.is_sqlite:
        return
    with store._database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.exec_driver_sql(
            "UPDATE pg_class SET reltuples = 10000000 WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'i') AND relpages > 0"
        )


class CostCounter:
    """Counts what calls cost in a database; a server gives the cost by its plans."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps = 0
        if store._database.is_sqlite:
            store._database._engine.dispose()
            event.listen(store._database._engine, "connect", self._count_steps)

    def cost_of(self, call: Callable[[], object]) -> int:
        """Returns the cost of a call, which may be made twice."""
        if self._store._database.is_sqlite:
            call()  # what is cached afterwards
            self._steps = 0
            call()
            return self._steps
        with statements_of(self._store) as statements:
            call()
        return sum(self._rows_read(*each) for each in statements)

    def _count_steps(self, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        def count() -> int:
            self._steps += 1
            return 0

        connection.set_progress_handler(count, 1)

    def _rows_read(self, sql: str, values: Any) -> int:
        database = self._store._database
        with database.reading() as connection:
            explain = "EXPLAIN (ANALYZE, FORMAT JSON) "
            (plan,) = connection.exec_driver_sql(explain + sql, values).scalar_one()
            connection.rollback()
        return _rows_of(plan["Plan"])


def _rows_of(node: dict[str, Any]) -> int:
    """Returns the rows that a node of a plan and those below it read from tables and indexes."""
    own = 0
    if "Relation Name" in node or "Index Name" in node:
        removed = sum(
            node.get(f"Rows Removed by {cause}", 0) for cause in ("Filter", "Index Recheck")
        )
        own = round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return own + sum(_rows_of(child) for child in node.get("Plans", ()))
