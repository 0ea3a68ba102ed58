"""A worker that is killed while it acts on a request: `-m tests.support.processes.killed_request`.

The PACS refuses the result, a person retries the delivery, and the process kills itself with
SIGKILL at the given point.
"""

import sys
from enum import StrEnum
from pathlib import Path

from dbos import DBOS

from node.domain.errors import Rejected, RejectionReason
from node.domain.job import JobState
from node.domain.queues.selection import DeliveryName, Interface
from node.store import Store
from tests.support.processes.dying_worker import kill_at
from tests.support.processes.worker_parts import WorkerParts


class RequestKillPoint(StrEnum):
    """Where the worker is killed."""

    BEFORE_START = "before the delivery is started"
    AFTER_START = "after the delivery is started"
    AFTER_CLAIM = "after its attempt is claimed"


def main(folder: Path, point: RequestKillPoint) -> None:
    """Runs the worker until the kill point."""
    node = WorkerParts(folder)
    node.pacs.answers.append(Rejected(RejectionReason.INVALID_INSTANCE, "SEG is not stored here"))
    node.start()
    node.receive()
    node.poll()
    job = node.job_in(JobState.PARKED)
    match point:
        case RequestKillPoint.BEFORE_START:
            kill_at(DBOS, "enqueue_workflow")
        case RequestKillPoint.AFTER_START:
            kill_at(DBOS, "enqueue_workflow", after=True)
        case RequestKillPoint.AFTER_CLAIM:
            kill_at(Store, "claim_attempt", after=True)
    name = DeliveryName(job.job_id, "pacs")
    node.store.retry_deliveries([name], node.now(), Interface.CLI)
    while True:
        node.job_scheduler.poll()


if __name__ == "__main__":
    main(Path(sys.argv[1]), RequestKillPoint(sys.argv[2]))
