"""The revision that each process of the site runs, and why it does not run the active one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from node.store.configuration.tables import CONFIGURATION_PROCESSES
from node.store.repository import Repository


@dataclass(frozen=True)
class ConfiguredProcess:
    """A process and the revision that it runs; `problem` says why it runs no newer one.

    `name` is host and role. `since` is when it changed to that revision or met the problem.
    """

    name: str
    number: int
    problem: str
    since: datetime
    reported_at: datetime


class ConfiguredProcesses(Repository):
    """The processes that report their revision."""

    def report_revision(self, name: str, number: int, problem: str, now: datetime) -> None:
        """Records what the process runs."""
        table = CONFIGURATION_PROCESSES
        with self._database.writing() as connection:
            query = select(table).where(table.c.name == name)
            before = connection.execute(query).one_or_none()
            is_same = before is not None and (before.number, before.problem) == (number, problem)
            values = {
                "number": number,
                "problem": problem,
                "since": before.since if before is not None and is_same else now,
                "reported_at": now,
            }
            connection.execute(
                self._database.insert(table)
                .values(name=name, **values)
                .on_conflict_do_update(index_elements=[table.c.name], set_=values)
            )

    def revision_used_by(self, name: str) -> int | None:
        """Returns the number of the revision that the process used last; None if it used none."""
        query = select(CONFIGURATION_PROCESSES.c.number).where(
            CONFIGURATION_PROCESSES.c.name == name
        )
        with self._database.reading() as connection:
            number: int | None = connection.execute(query).scalar_one_or_none()
            return number

    def configured_processes(self, reported_since: datetime) -> list[ConfiguredProcess]:
        """Returns the processes that have reported since then, by name."""
        table = CONFIGURATION_PROCESSES
        query = select(table).where(table.c.reported_at >= reported_since).order_by(table.c.name)
        with self._database.reading() as connection:
            return [
                ConfiguredProcess(row.name, row.number, row.problem, row.since, row.reported_at)
                for row in connection.execute(query)
            ]
