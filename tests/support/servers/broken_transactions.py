"""PostgreSQL that stops within a request, right before one of its transactions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps

import pytest
from sqlalchemy.engine import Connection

from node.store.database import Database
from tests.support.servers.postgresql_server import PostgresqlServer

Transaction = Callable[[Database], AbstractContextManager[Connection]]


@contextmanager
def stops_before(
    step: int, server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Stops PostgreSQL right before the transaction of that number; starts it again."""
    begun = 0
    stopped_at: list[int] = []

    def counting(transaction: Transaction) -> Transaction:
        @wraps(transaction)
        def counted(database: Database) -> AbstractContextManager[Connection]:
            nonlocal begun
            begun += 1
            if begun == step:
                stopped_at.append(step)
                server.stop()
            return transaction(database)

        return counted

    with monkeypatch.context() as patch:
        for name in ("reading", "writing", "writing_soon"):
            patch.setattr(Database, name, counting(getattr(Database, name)))
        yield
    if stopped_at:
        server.start()
