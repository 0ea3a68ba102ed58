"""Whether the server of each worklist answers, for the command line and REST."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from node.store.repository import Repository
from node.store.worklists.tables import WORKLISTS


@dataclass(frozen=True)
class WorklistStatus:
    """The server of a worklist: when it answered last, and its failure since then.

    `error` is empty, and `failing_since` None, while it answers.
    """

    name: str
    answered_at: datetime | None
    failing_since: datetime | None
    error: str


class Worklists(Repository):
    """One row for each worklist that was ever queried."""

    def worklist_status(self, name: str) -> WorklistStatus:
        """Returns the status of a worklist; without any time before its first query."""
        query = select(WORKLISTS).where(WORKLISTS.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return WorklistStatus(name, None, None, "")
        return WorklistStatus(row.name, row.answered_at, row.failing_since, row.error)

    def record_worklist_answer(self, name: str, now: datetime) -> None:
        """Records that the server of a worklist answers."""
        self._set_worklist(name, {"answered_at": now, "failing_since": None, "error": ""})

    def record_worklist_failure(self, name: str, error: str, now: datetime) -> None:
        """Records that the server of a worklist fails; the first failure sets since when."""
        since = self.worklist_status(name).failing_since or now
        self._set_worklist(name, {"failing_since": since, "error": error})

    def _set_worklist(self, name: str, values: dict[str, object]) -> None:
        statement = self._database.insert(WORKLISTS).values({"name": name, "error": ""} | values)
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["name"], set_=values)
            )
