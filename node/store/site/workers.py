"""The workers of a site that share one database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from node.store.records import Records
from node.store.schema import WORKERS


@dataclass(frozen=True)
class Worker:
    """A worker that has joined; `beats` grows as long as it lives, `place` is where it runs."""

    name: str
    place: str
    beats: int
    beaten_at: datetime


class Workers(Records):
    """Who works; the first of them sees to what only one has to."""

    def join(self, name: str, place: str, now: datetime) -> None:
        """Adds a worker; those that were at its place before are gone."""
        row = {"name": name, "place": place, "beats": 0, "joined_at": now, "beaten_at": now}
        with self._database.writing() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.place == place))
            connection.execute(self._database.insert(WORKERS).values(row))

    def beat(self, name: str, now: datetime) -> bool:
        """Tells the others that this worker lives; False where they have given it up."""
        change = (
            update(WORKERS)
            .where(WORKERS.c.name == name)
            .values(beats=WORKERS.c.beats + 1, beaten_at=now)
        )
        with self._database.writing() as connection:
            return connection.execute(change).rowcount == 1

    def leave(self, name: str) -> None:
        """Takes a worker away; nothing happens where it is gone already."""
        with self._database.writing() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.name == name))

    def workers(self) -> list[Worker]:
        """Those that have joined and neither left nor been given up, the longest there first."""
        query = select(WORKERS).order_by(WORKERS.c.number)
        with self._database.reading() as connection:
            return [
                Worker(row.name, row.place, row.beats, row.beaten_at)
                for row in connection.execute(query)
            ]
