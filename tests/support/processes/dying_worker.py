"""A worker that is killed while it postpones a job: `-m tests.support.processes.dying_worker`.

The first attempt at the job fails because the disk is full. The process kills itself with SIGKILL
at the given point.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from dbos import DBOS

from node.domain.errors import Transient
from node.jobs.segment_step import SegmentStep
from node.store import Store
from tests.support.processes.worker_parts import WorkerParts, raising


class KillPoint(StrEnum):
    """Where the worker is killed."""

    BEFORE_FAILURE_RECORDED = "before the failure is recorded"
    AFTER_FAILURE_RECORDED = "after the failure is recorded"
    BEFORE_WAIT_RECORDED = "before the wait is recorded"
    AFTER_WAIT_RECORDED = "after the wait is recorded"
    BEFORE_NEXT_PART_QUEUED = "before the next part is queued"
    AFTER_NEXT_PART_QUEUED = "after the next part is queued"
    AFTER_WAIT_IN_RUN = "after a wait within the run, as in earlier versions"


def main(folder: Path, point: KillPoint) -> None:
    """Runs the worker until the kill point."""
    node = WorkerParts(folder, on_inference=[raising(Transient("the disk is full"))])
    match point:
        case KillPoint.BEFORE_FAILURE_RECORDED:
            kill_at(Store, "record_failed_attempt")
        case KillPoint.AFTER_FAILURE_RECORDED:
            kill_at(Store, "record_failed_attempt", after=True)
        case KillPoint.BEFORE_WAIT_RECORDED:
            kill_at(Store, "set_waiting_reason")
        case KillPoint.AFTER_WAIT_RECORDED:
            kill_at(Store, "set_waiting_reason", after=True)
        case KillPoint.BEFORE_NEXT_PART_QUEUED:
            kill_at(DBOS, "enqueue_workflow", call=2)
        case KillPoint.AFTER_NEXT_PART_QUEUED:
            kill_at(DBOS, "enqueue_workflow", call=2, after=True)
        case KillPoint.AFTER_WAIT_IN_RUN:
            wait_in_run()
            kill_at(DBOS, "sleep", after=True)
    node.start()
    node.receive()
    node.poll()
    threading.Event().wait()


def wait_in_run() -> None:
    """Makes the step return a delay, as after a defect, instead of postponing the job."""
    run = SegmentStep.run

    def waiting(segmenting: SegmentStep, job_id: str, number: int) -> float | None:
        run(segmenting, job_id, number)
        return 0.1

    setattr(SegmentStep, "run", waiting)  # noqa: B010 mypy rejects an assignment to a method


def kill_at(owner: object, name: str, *, call: int = 1, after: bool = False) -> None:
    """Kills the process at call number `call` of a method or function, or after it returns."""
    method: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, call + 1))

    def dying(*given: Any, **options: Any) -> Any:
        is_last = next(calls) == call
        if is_last and not after:
            die()
        answer = method(*given, **options)
        if is_last:
            die()
        return answer

    setattr(owner, name, dying)


die = partial(os.kill, os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    main(Path(sys.argv[1]), KillPoint(sys.argv[2]))
