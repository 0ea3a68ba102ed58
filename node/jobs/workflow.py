"""The durable workflow of a job (DBOS): segment, then deliver and commit for each destination.

A worker that dies, even by `kill -9`, finds its unfinished workflows again when it starts, or has
them taken over by another: steps that were recorded are not repeated, the step that was cut off
is. Waiting for the next try at a delivery, or for trouble to pass that keeps a job from its result,
is a workflow that is due later: it costs no thread, holds up no other job, and survives restarts.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import structlog
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, StepOptions
from sqlalchemy import Engine, event

from node.domain.errors import Transient
from node.domain.job import Job, Priority
from node.jobs.commit_step import CommitStep
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt
from node.jobs.segment_step import SegmentStep
from node.store.database import database_errors_as_transient, disconnect_if_unwritable

_LOG = structlog.get_logger()
# Names the order of the steps below. Workflows of another version would not be found again after
# an upgrade, so it changes only with that order, never with the software's version. A step that is
# added at the end leaves it: whoever has recorded the others goes on there, or ends before it.
_SHAPE = "1"
_INFERENCE = "inference"
_DELIVERIES = "deliveries"
# They mostly wait for the network.
_DELIVERIES_AT_ONCE = 8
_DELIVERIES_AT_ONCE_PER_DESTINATION = 2
# A job during which the process dies again and again would otherwise stop every other job.
_STARTS_BEFORE_BROKEN = 4
# The lower the sooner; jobs of one priority come in their turns, of which there are this many.
_FIRST_TURNS = {Priority.STAT: 1, Priority.ROUTINE: 1_000_000_001}
_MOST_TURNS = 1_000_000_000
# What a step itself can do about an error, it does; what is left is a database that is away.
_STEP_RETRY_SECONDS = 3.0
_MOST_STEP_TRIES = 1_000_000
_ACTIVE = ["ENQUEUED", "PENDING", "DELAYED"]


class RunState(StrEnum):
    """What the engine knows of a run."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    ENDED = "ended"
    BROKEN = "broken"  # it failed, or the process died in it too often


@dataclass(frozen=True)
class EngineOptions:
    """`database_url` is the engine's own; `poll_seconds` how often its queues are looked at.

    `inferences_at_once` run on each worker.

    `executor_id` names this worker, and no other. What it left unfinished it takes up again itself
    if it comes back under the same name; else another does, see `take_over`.
    """

    database_url: str
    executor_id: str
    poll_seconds: float
    inferences_at_once: int = 1


@dataclass(frozen=True)
class _Part:
    """One workflow of a job's run, which goes on in another after each time it is put off.

    `run_number` is the job's, `number` counts the run's parts from 1.
    """

    job_id: str
    run_number: int
    number: int = 1

    @classmethod
    def of(cls, workflow_id: str) -> Self:
        """The part that the workflow is."""
        _, job_id, *numbers = workflow_id.split(":")
        return cls(job_id, *(int(number) for number in numbers))

    @property
    def workflow_id(self) -> str:
        """Its name in the engine; that of a first part is the same in every version."""
        name = f"run:{self.job_id}:{self.run_number}"
        return name if self.number == 1 else f"{name}:{self.number}"

    def next(self) -> Self:
        """The one that follows."""
        return replace(self, number=self.number + 1)


class Workflows:
    """The engine with our two workflows in it; at most one in a process at a time."""

    def __init__(
        self,
        segmenting: SegmentStep,
        delivering: DeliverStep,
        committing: CommitStep,
        options: EngineOptions,
    ) -> None:
        self._options = options
        self._segmenting = segmenting

        @DBOS.workflow(name="run_job", max_recovery_attempts=_STARTS_BEFORE_BROKEN - 1)
        def run_job(job_id: str) -> None:
            number = 1
            wait_s = DBOS.run_step(_step("segment"), segmenting.run, job_id, number)
            while wait_s is not None:
                DBOS.sleep(wait_s)
                number += 1
                wait_s = DBOS.run_step(_step("segment"), segmenting.run, job_id, number)
            tries = DBOS.run_step(_step("open_tries"), delivering.open_tries, job_id)
            for destination, try_number in tries:
                self.start_delivery(DeliveryAttempt(job_id, destination, try_number, streak=1))
            part = _Part.of(str(DBOS.workflow_id))
            put_off = DBOS.run_step(_step("put_off"), self._put_off, part)
            if put_off is not None:
                wait_s, place = put_off
                self._start_part(part.next(), place, after_s=wait_s)

        @DBOS.workflow(name="deliver_result")
        def deliver_result(job_id: str, destination: str, number: int, streak: int) -> None:
            this = DeliveryAttempt(job_id, destination, number, streak)
            wait_s = DBOS.run_step(_step("deliver"), delivering.run, this)
            if wait_s is None and destination in committing.askers:
                wait_s = DBOS.run_step(_step("commit"), committing.ask, this)
            if wait_s is not None:
                later = DeliveryAttempt(job_id, destination, number + 1, streak + 1)
                self.start_delivery(later, after_s=wait_s)

        self._run_job = run_job
        self._deliver_result = deliver_result

    def launch(self) -> None:
        """Start the engine; unfinished workflows of this worker go on.

        Raises:
            Transient: its database does not answer or cannot be written.
        """
        # Without a handler of its own the library would write to the console in its own way.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        logging.getLogger("dbos").propagate = True
        event.listen(Engine, "handle_error", disconnect_if_unwritable)
        DBOS(
            config={
                "name": "segnode",
                "system_database_url": self._options.database_url,
                "application_version": _SHAPE,
                "executor_id": self._options.executor_id,
                "log_level": "WARNING",
                "enable_otlp": False,
            }
        )
        with database_errors_as_transient():
            DBOS.launch()
            self._register_queues()

    def close(self) -> None:
        """Stop the engine at once; what runs is taken up again at the next start."""
        DBOS.destroy(destroy_registry=True)
        event.remove(Engine, "handle_error", disconnect_if_unwritable)

    def take_over(self, living: Collection[str]) -> None:
        """Hand out again what workers other than these have left unfinished."""
        begun = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        dead = {workflow.executor_id or "" for workflow in begun} - set(living)
        for executor_id in sorted(dead):
            DBOS._recover_pending_workflows([executor_id])
            _LOG.warning("worker.work_taken_over", worker=executor_id)

    def start_job(self, job: Job, run_number: int) -> None:
        """Have a job run in its turn; again for the same run changes nothing."""
        self._start_part(_Part(job.job_id, run_number), _place_in_queue(job))

    def continue_job(self, job: Job, run_number: int) -> None:
        """Have a job go on whose run has ended without bringing it to its end.

        An earlier version of the software, which puts nothing off, may have done the last of it.
        """
        part = _Part(job.job_id, run_number)
        while DBOS.get_workflow_status(part.workflow_id) is not None:
            part = part.next()
        self._start_part(part, _place_in_queue(job))

    def start_delivery(
        self, this: DeliveryAttempt, *, after_s: float | None = None, repair: str = ""
    ) -> None:
        """Have a try at a delivery made; again for the same try and `repair` changes nothing.

        `repair` tells a try apart from one of the same number that broke.
        """
        with (
            SetWorkflowID(_delivery_id(this, repair)),
            SetEnqueueOptions(queue_partition_key=this.destination, delay_seconds=after_s),
        ):
            DBOS.enqueue_workflow(
                _DELIVERIES,
                self._deliver_result,
                this.job_id,
                this.destination,
                this.number,
                this.streak,
            )

    def run_state(self, job_id: str, run_number: int) -> RunState:
        """How a job's run stands with the engine."""
        part = _Part(job_id, run_number)
        status = DBOS.get_workflow_status(part.workflow_id)
        if status is None:
            return RunState.UNKNOWN
        while status.status == "SUCCESS":
            part = part.next()
            status = DBOS.get_workflow_status(part.workflow_id)
            if status is None:
                return RunState.ENDED
        return RunState.ACTIVE if status.status in _ACTIVE else RunState.BROKEN

    def cap_delays(self, max_s: float) -> None:
        """Have what is delayed done now that is due later than it ever can be.

        Since it was delayed, the clock has been set back.
        """
        latest_ms = (time.time() + max_s) * 1000
        delayed = DBOS.list_workflows(status="DELAYED", load_input=False, load_output=False)
        for workflow in delayed:
            due_ms = workflow.delay_until_epoch_ms
            if due_ms is not None and due_ms > latest_ms:
                DBOS.set_workflow_delay(workflow.workflow_id, delay_seconds=0)

    def active_deliveries(self) -> Collection[tuple[str, str]]:
        """The pairs of job and destination whose delivery is under way or due later."""
        active = DBOS.list_workflows(
            status=_ACTIVE, name="deliver_result", load_input=False, load_output=False
        )
        return {_job_and_destination(workflow.workflow_id) for workflow in active}

    def _register_queues(self) -> None:
        poll_seconds = self._options.poll_seconds
        DBOS.register_queue(
            _INFERENCE,
            worker_concurrency=self._options.inferences_at_once,
            polling_interval_sec=poll_seconds,
        )
        DBOS.register_queue(
            _DELIVERIES,
            worker_concurrency=_DELIVERIES_AT_ONCE,
            partition_worker_concurrency=_DELIVERIES_AT_ONCE_PER_DESTINATION,
            polling_interval_sec=poll_seconds,
        )

    def _put_off(self, part: _Part) -> tuple[float, int] | None:
        """In how many seconds the job is to run again, if it is, and its place in the queue."""
        wait_s = self._segmenting.put_off(part.job_id, part.run_number)
        job = self._segmenting.store.get_job(part.job_id)
        return None if wait_s is None or job is None else (wait_s, _place_in_queue(job))

    def _start_part(self, part: _Part, place: int, *, after_s: float | None = None) -> None:
        """Have it run; again for the same part changes nothing."""
        with (
            SetWorkflowID(part.workflow_id),
            SetEnqueueOptions(priority=place, delay_seconds=after_s),
        ):
            DBOS.enqueue_workflow(_INFERENCE, self._run_job, part.job_id)


def _place_in_queue(job: Job) -> int:
    return _FIRST_TURNS[job.priority] + min(job.turn, _MOST_TURNS - 1)


def _step(name: str) -> StepOptions:
    """A step that goes on as soon as the database is back, however long it is away."""
    return {
        "name": name,
        "retries_allowed": True,
        "should_retry": _is_transient,
        "interval_seconds": _STEP_RETRY_SECONDS,
        "backoff_rate": 1.0,
        "max_attempts": _MOST_STEP_TRIES,
    }


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, Transient)


def _delivery_id(this: DeliveryAttempt, repair: str) -> str:
    # The destination comes last: its name is free text.
    return f"deliver:{this.job_id}:{this.number}{repair}:{this.destination}"


def _job_and_destination(workflow_id: str) -> tuple[str, str]:
    _, job_id, _, destination = workflow_id.split(":", 3)
    return job_id, destination
