"""Several workers on one database: who lives, who leads, and whose work another takes over.

Nobody's clock is trusted: a worker counts as dead when its beats stood still in so many looks of
another. One that was only cut off finds itself given up, and ends before it does anything twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from node.store import Store

_LOG = structlog.get_logger()
BEAT_SECONDS = 2.0
# 20 s: longer than a database takes to come back, and well within a minute.
_LOOKS_BEFORE_DEAD = 10


class WorkerRemoved(Exception):
    """The other workers took this one for dead and have taken over its work."""


@dataclass
class Membership:
    """This worker among the others; `name` is its own alone, `place` outlives a restart of it."""

    store: Store
    name: str
    place: str
    now: Callable[[], datetime]
    _leads: bool = False
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)  # beats, looks since they grew

    def join(self) -> None:
        """Be one of them from now on; whoever was at this place before is gone."""
        self.store.add_worker(self.name, self.place, self.now())

    def leave(self) -> None:
        """Be no longer; what is under way here may be taken over at once."""
        self.store.remove_worker(self.name)

    def beat(self) -> None:
        """Tell that this worker lives, and give up those that have stopped to.

        Raises:
            WorkerRemoved: the others have given up this one.
            Transient: the database does not answer.
        """
        if not self.store.record_heartbeat(self.name, self.now()):
            raise WorkerRemoved(self.name)
        workers = self.store.workers()
        seen = {}
        for worker in workers:
            beats, looks = self._seen.get(worker.name, (worker.heartbeats, 0))
            looks = looks + 1 if worker.heartbeats == beats else 0
            seen[worker.name] = (worker.heartbeats, looks)
            if looks >= _LOOKS_BEFORE_DEAD and worker.name != self.name:
                _LOG.error("worker.given_up", worker=worker.name)
                self.store.remove_worker(worker.name)
        self._seen = seen
        leads = bool(workers) and workers[0].name == self.name
        if leads and not self._leads:
            _LOG.info("worker.leads", worker=self.name)
        self._leads = leads

    @property
    def leads(self) -> bool:
        """Whether this worker sees to what only one has to, as of the last beat."""
        return self._leads
