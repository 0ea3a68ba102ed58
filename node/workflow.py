"""The durable workflow of a job (DBOS): segment, then deliver and commit for each destination.

A worker that dies, even by `kill -9`, finds its unfinished workflows again when it starts, or has
them taken over by another: steps that were recorded are not repeated, the step that was cut off
is. Waiting for the next try at a
delivery is a workflow that is due later: it costs no thread and survives restarts.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import structlog
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, StepOptions

from node.domain.errors import Transient
from node.domain.job import Job, Priority
from node.work.committing import Committing
from node.work.delivering import Delivering, Try
from node.work.segmenting import Segmenting

_LOG = structlog.get_logger()
# Names the order of the steps below. Workflows of another version would not be found again after
# an upgrade, so it changes only with that order, never with the software's version.
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


class Workflows:
    """The engine with our two workflows in it; at most one in a process at a time."""

    def __init__(
        self,
        segmenting: Segmenting,
        delivering: Delivering,
        committing: Committing,
        options: EngineOptions,
    ) -> None:
        self._options = options

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
                self.start_delivery(Try(job_id, destination, try_number, streak=1))

        @DBOS.workflow(name="deliver_result")
        def deliver_result(job_id: str, destination: str, number: int, streak: int) -> None:
            this = Try(job_id, destination, number, streak)
            wait_s = DBOS.run_step(_step("deliver"), delivering.run, this)
            if wait_s is None and destination in committing.askers:
                wait_s = DBOS.run_step(_step("commit"), committing.ask, this)
            if wait_s is not None:
                later = Try(job_id, destination, number + 1, streak + 1)
                self.start_delivery(later, after_s=wait_s)

        self._run_job = run_job
        self._deliver_result = deliver_result

    def launch(self) -> None:
        """Start the engine; unfinished workflows of this worker go on."""
        # Without a handler of its own the library would write to the console in its own way.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        logging.getLogger("dbos").propagate = True
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
        DBOS.launch()
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

    def close(self) -> None:
        """Stop the engine at once; what runs is taken up again at the next start."""
        DBOS.destroy(destroy_registry=True)

    def take_over(self, living: Collection[str]) -> None:
        """Hand out again what workers other than these have left unfinished."""
        begun = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        dead = {workflow.executor_id or "" for workflow in begun} - set(living)
        for executor_id in sorted(dead):
            DBOS._recover_pending_workflows([executor_id])
            _LOG.warning("worker.work_taken_over", worker=executor_id)

    def start_job(self, job: Job, run_number: int) -> None:
        """Have a job run in its turn; again for the same run changes nothing."""
        with (
            SetWorkflowID(_run_id(job.job_id, run_number)),
            SetEnqueueOptions(priority=_place_in_queue(job)),
        ):
            DBOS.enqueue_workflow(_INFERENCE, self._run_job, job.job_id)

    def start_delivery(self, this: Try, *, after_s: float | None = None, repair: str = "") -> None:
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

    def state_of_run(self, job_id: str, run_number: int) -> RunState:
        """How a job's run stands with the engine."""
        status = DBOS.get_workflow_status(_run_id(job_id, run_number))
        if status is None:
            return RunState.UNKNOWN
        if status.status in _ACTIVE:
            return RunState.ACTIVE
        return RunState.ENDED if status.status == "SUCCESS" else RunState.BROKEN

    def hasten(self, longest_s: float) -> None:
        """Have delayed deliveries made now that are due later than they ever can be.

        Since they were delayed, the clock has been set back.
        """
        latest_ms = (time.time() + longest_s) * 1000
        delayed = DBOS.list_workflows(status="DELAYED", load_input=False, load_output=False)
        for workflow in delayed:
            due_ms = workflow.delay_until_epoch_ms
            if due_ms is not None and due_ms > latest_ms:
                DBOS.set_workflow_delay(workflow.workflow_id, delay_seconds=0)

    def deliveries_under_way(self) -> Collection[tuple[str, str]]:
        """The pairs of job and destination whose delivery is under way or due later."""
        active = DBOS.list_workflows(
            status=_ACTIVE, name="deliver_result", load_input=False, load_output=False
        )
        return {_job_and_destination(workflow.workflow_id) for workflow in active}


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


def _run_id(job_id: str, run_number: int) -> str:
    return f"run:{job_id}:{run_number}"


def _delivery_id(this: Try, repair: str) -> str:
    # The destination comes last: its name is free text.
    return f"deliver:{this.job_id}:{this.number}{repair}:{this.destination}"


def _job_and_destination(workflow_id: str) -> tuple[str, str]:
    _, job_id, _, destination = workflow_id.split(":", 3)
    return job_id, destination
