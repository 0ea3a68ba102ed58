"""The workers of a site that share one database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from node.store.repository import Repository
from node.store.schema import WORKERS


@dataclass(frozen=True)
class Worker:
    """A worker process that has joined the site.

    `name` identifies the process; `slot` (a host and a number) stays the same after a restart.
    `heartbeats` counts up as long as the process is alive.
    """

    name: str
    slot: str
    heartbeats: int
    last_heartbeat_at: datetime


class Workers(Repository):
    """The workers; the one that joined first is the leader."""

    def add_worker(self, name: str, slot: str, now: datetime) -> None:
        """Adds a worker; removes earlier processes in the same `slot`."""
        row = {
            "name": name,
            "place": slot,
            "beats": 0,
            "joined_at": now,
            "beaten_at": now,
        }
        with self._database.writing() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.place == slot))
            connection.execute(self._database.insert(WORKERS).values(row))

    def record_heartbeat(self, name: str, now: datetime) -> bool:
        """Records that this worker is alive; False if the others have removed it."""
        statement = (
            update(WORKERS)
            .where(WORKERS.c.name == name)
            .values(beats=WORKERS.c.beats + 1, beaten_at=now)
        )
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def remove_worker(self, name: str) -> None:
        """Removes a worker; does nothing if it is not there."""
        with self._database.writing() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.name == name))

    def workers(self) -> list[Worker]:
        """Returns the workers that have joined and not been removed, first joined first."""
        query = select(WORKERS).order_by(WORKERS.c.number)
        with self._database.reading() as connection:
            return [
                Worker(row.name, row.place, row.beats, row.beaten_at)
                for row in connection.execute(query)
            ]
