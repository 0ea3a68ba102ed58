"""Heartbeats of the workers: liveness, and among several the leader and removal of dead ones.

No clock of another host is trusted: a worker counts as dead when its heartbeat counter did not
change during a number of checks. A worker that was only cut off finds itself removed, and exits
before it does any work twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from node.store import Store

_LOG = structlog.get_logger()
HEARTBEAT_SECONDS = 2.0
# 20 s: longer than a database restart, and well within a minute.
_MAX_MISSED_HEARTBEATS = 10


class WorkerRemoved(Exception):
    """The other workers removed this one as dead and took over its work."""


@dataclass(frozen=True)
class SingleWorker:
    """The heartbeat of the only worker of a site; it shows whether the worker hangs.

    It has an entry while it works, and none while it starts.
    """

    store: Store
    slot: str
    now: Callable[[], datetime]

    @property
    def name(self) -> str:
        """The name of its entry."""
        return self.slot

    def join(self) -> None:
        """Adds the entry."""
        self.store.add_worker(self.name, self.slot, self.now())

    def leave(self) -> None:
        """Removes the entry, also one that an earlier process left."""
        self.store.remove_worker(self.name)

    def send_heartbeat(self) -> None:
        """Records a heartbeat.

        Raises:
            Transient: the database does not answer.
        """
        if not self.store.record_heartbeat(self.name, self.now()):
            self.join()


@dataclass
class Membership:
    """This worker among the others.

    `name` is unique to this process; `slot` (a host and a number) outlives a restart.
    """

    store: Store
    name: str
    slot: str
    now: Callable[[], datetime]
    _leads: bool = False
    # By worker: its heartbeat counter, and the checks since the counter last changed.
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def join(self) -> None:
        """Registers this worker and removes the previous one in its slot."""
        self.store.add_worker(self.name, self.slot, self.now())

    def leave(self) -> None:
        """Deregisters this worker; others may take over its work immediately."""
        self.store.remove_worker(self.name)

    def send_heartbeat(self) -> None:
        """Records a heartbeat and removes workers whose heartbeat has stopped.

        Raises:
            WorkerRemoved: the others removed this worker.
            Transient: the database does not answer.
        """
        if not self.store.record_heartbeat(self.name, self.now()):
            raise WorkerRemoved(self.name)
        workers = self.store.workers()
        seen = {}
        for worker in workers:
            heartbeats, missed = self._seen.get(worker.name, (worker.heartbeats, 0))
            missed = missed + 1 if worker.heartbeats == heartbeats else 0
            seen[worker.name] = (worker.heartbeats, missed)
            if missed >= _MAX_MISSED_HEARTBEATS and worker.name != self.name:
                _LOG.error("worker.dead", worker=worker.name)
                self.store.remove_dead_worker(worker.name, self.now())
        self._seen = seen
        leads = bool(workers) and workers[0].name == self.name
        if leads and not self._leads:
            _LOG.info("worker.leads", worker=self.name)
        self._leads = leads

    @property
    def leads(self) -> bool:
        """Whether this worker runs the tasks of the leader, as of the last heartbeat."""
        return self._leads
