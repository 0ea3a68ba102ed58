"""A worker that is killed while it postpones a job: `-m tests.support.processes.dying_worker`.

The first try of the job meets a full disk; the process dies by `kill -9` at the point.
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
from tests.support.processes.worker_parts import WorkerParts, failing


class Point(StrEnum):
    """Where it dies."""

    NOT_NOTED = "before the failure is noted"
    NOTED = "after the failure is noted"
    NOT_TOLD = "before the wait is told"
    TOLD = "after the wait is told"
    NOT_QUEUED = "before the next part is queued"
    QUEUED = "after the next part is queued"
    WAITED_WITHIN = "after a wait within the run, as earlier versions had it"


def main(folder: Path, point: Point) -> None:
    """Work until the point."""
    node = WorkerParts(folder, during=[failing(Transient("the disk is full"))])
    match point:
        case Point.NOT_NOTED:
            die_at(Store, "record_failed_attempt")
        case Point.NOTED:
            die_at(Store, "record_failed_attempt", after=True)
        case Point.NOT_TOLD:
            die_at(Store, "set_waiting_reason")
        case Point.TOLD:
            die_at(Store, "set_waiting_reason", after=True)
        case Point.NOT_QUEUED:
            die_at(DBOS, "enqueue_workflow", call=2)
        case Point.QUEUED:
            die_at(DBOS, "enqueue_workflow", call=2, after=True)
        case Point.WAITED_WITHIN:
            wait_within_the_run()
            die_at(DBOS, "sleep", after=True)
    node.start()
    node.receive()
    node.poll()
    threading.Event().wait()


def wait_within_the_run() -> None:
    """Have the step tell of a wait, as after a defect, instead of having the job put off."""
    run = SegmentStep.run

    def waiting(segmenting: SegmentStep, job_id: str, number: int) -> float | None:
        run(segmenting, job_id, number)
        return 0.1

    setattr(SegmentStep, "run", waiting)  # noqa: B010 mypy takes a method for no variable


def die_at(owner: type, name: str, *, call: int = 1, after: bool = False) -> None:
    """Have the process killed at that call of a method, or as soon as it has returned."""
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
    main(Path(sys.argv[1]), Point(sys.argv[2]))
