"""The workers of a site that share one database."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from node.store.repository import Repository
from node.store.schema import LOST_WORKERS, WORKERS


@dataclass(frozen=True)
class MachineStatus:
    """The machine of a worker; memory in bytes, None where it is not known."""

    host: str
    device: str
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    device_memory_total_bytes: int | None = None
    device_memory_used_bytes: int | None = None


@dataclass(frozen=True)
class Worker:
    """A worker process that has joined the site.

    `name` identifies the process; `slot` (a host and a number) stays the same after a restart.
    `heartbeats` counts up as long as the process is alive. `machine` is None until it reports.
    """

    name: str
    slot: str
    heartbeats: int
    last_heartbeat_at: datetime
    machine: MachineStatus | None = None


@dataclass(frozen=True)
class LostWorker:
    """A slot whose worker the others removed as dead, and that no worker has taken since."""

    slot: str
    lost_at: datetime


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
            connection.execute(delete(LOST_WORKERS).where(LOST_WORKERS.c.slot == slot))
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

    def record_machine_status(self, name: str, status: MachineStatus) -> None:
        """Records the state of a worker's machine."""
        change = update(WORKERS).where(WORKERS.c.name == name).values(status=asdict(status))
        with self._database.writing() as connection:
            connection.execute(change)

    def remove_worker(self, name: str) -> None:
        """Removes a worker; does nothing if it is not there."""
        with self._database.writing() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.name == name))

    def remove_dead_worker(self, name: str, now: datetime) -> None:
        """Removes a worker and records its slot as lost; does nothing if it is not there."""
        gone = delete(WORKERS).where(WORKERS.c.name == name).returning(WORKERS.c.place)
        with self._database.writing() as connection:
            slot = connection.execute(gone).scalar_one_or_none()
            if slot is not None:
                connection.execute(
                    self._database.insert(LOST_WORKERS)
                    .values(slot=slot, lost_at=now)
                    .on_conflict_do_nothing()
                )

    def lost_workers(self, since: datetime) -> list[LostWorker]:
        """Returns the slots that were lost since then, oldest first."""
        query = (
            select(LOST_WORKERS)
            .where(LOST_WORKERS.c.lost_at >= since)
            .order_by(LOST_WORKERS.c.lost_at)
        )
        with self._database.reading() as connection:
            return [LostWorker(row.slot, row.lost_at) for row in connection.execute(query)]

    def workers(self) -> list[Worker]:
        """Returns the workers that have joined and not been removed, first joined first."""
        query = select(WORKERS).order_by(WORKERS.c.number)
        with self._database.reading() as connection:
            return [
                Worker(
                    row.name,
                    row.place,
                    row.beats,
                    row.beaten_at,
                    None if row.status is None else MachineStatus(**row.status),
                )
                for row in connection.execute(query)
            ]
