"""The durable workflow of a job (DBOS): segment, then deliver and commit for each destination.

A worker that dies, even by `kill -9`, resumes its unfinished workflows at its next start, or
another worker takes them over. Recorded steps are not repeated; an interrupted step is. A delayed
workflow waits for the next attempt at a delivery or for a postponed job: it uses no thread, delays
no other job, and survives restarts.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import structlog
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, StepOptions
from sqlalchemy import Engine, event

from node.domain.errors import Transient
from node.domain.job import Job, Priority
from node.jobs.commit_step import CommitStep
from node.jobs.dbos_internals import recover_pending_workflows
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt
from node.jobs.segment_step import SegmentStep
from node.jobs.workflow_ids import DeliveryWorkflow, RunPart, delivery_id, run_suffix
from node.settings.credentials.secret_source import SecretSource
from node.store.database import (
    NO_PASSWORD,
    PasswordForConnections,
    database_errors_as_transient,
    disconnect_if_unwritable,
)

_LOG = structlog.get_logger()
# Version of the order of the steps below. DBOS does not recover workflows of another version, so it
# changes only with that order, never with the software version. A step added at the end keeps it:
# a workflow that recorded the other steps continues there, or ends before it.
_APPLICATION_VERSION = "1"
_INFERENCE = "inference"
_DELIVERIES = "deliveries"
# Deliveries mostly wait for the network.
_MAX_DELIVERIES = 8
_MAX_DELIVERIES_PER_DESTINATION = 2
# A job that kills its process again and again must not stop the other jobs.
_MAX_STARTS = 4
# Queue priority of the first turn, by job priority: lower runs sooner. Jobs of one priority run in
# the order of their turns.
_FIRST_TURN = {Priority.STAT: 1, Priority.ROUTINE: 1_000_000_001}
_MAX_TURNS = 1_000_000_000
# Steps handle their own errors; what remains is an unreachable database.
_STEP_RETRY_SECONDS = 3.0
_MAX_STEP_ATTEMPTS = 1_000_000
_ACTIVE = ["ENQUEUED", "PENDING", "DELAYED"]


class RunState(StrEnum):
    """State of a run in DBOS."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    ENDED = "ended"
    BROKEN = "broken"  # it failed, or its process died too often


@dataclass(frozen=True)
class EngineOptions:
    """Options of the workflow engine.

    `database_url` is DBOS's system database, `poll_seconds` the polling interval of its queues, and
    `inferences_at_once` the number of concurrent inferences per worker.

    `executor_id` is unique to this worker. A worker that restarts with the same id resumes its
    unfinished work; otherwise another worker does, see `take_over`.
    """

    database_url: str
    executor_id: str
    poll_seconds: float
    inferences_at_once: int = 1
    database_password: SecretSource = NO_PASSWORD


@dataclass(frozen=True)
class JobSteps:
    """The steps of a job, as one configuration makes them."""

    segment: SegmentStep
    deliver: DeliverStep
    commit: CommitStep


class Workflows:
    """DBOS with the two workflows; at most one per process at a time.

    A workflow that has started keeps its steps, also where `use` replaces them meanwhile.
    """

    def __init__(
        self,
        segment_step: SegmentStep,
        deliver_step: DeliverStep,
        commit_step: CommitStep,
        options: EngineOptions,
    ) -> None:
        self._options = options
        self._steps = JobSteps(segment_step, deliver_step, commit_step)
        self._is_launched = False
        self._add_password = PasswordForConnections(options.database_password)

        @DBOS.workflow(name="run_job", max_recovery_attempts=_MAX_STARTS - 1)
        def run_job(job_id: str) -> None:
            steps, number = self._steps, 1
            wait_s = DBOS.run_step(_step("segment"), steps.segment.run, job_id, number)
            while wait_s is not None:
                DBOS.sleep(wait_s)
                number += 1
                wait_s = DBOS.run_step(_step("segment"), steps.segment.run, job_id, number)
            attempts = DBOS.run_step(_step("open_tries"), steps.deliver.open_attempts, job_id)
            part = RunPart.of(str(DBOS.workflow_id))
            for key, attempt_number in attempts:
                this = DeliveryAttempt(job_id, key, attempt_number, streak=1)
                self.start_delivery(this, repair=run_suffix(part.run_number))
            postponed = DBOS.run_step(_step("put_off"), _postpone, steps.segment, part)
            if postponed is not None:
                wait_s, priority = postponed
                self._start_part(part.next(), priority, after_s=wait_s)

        @DBOS.workflow(name="deliver_result")
        def deliver_result(job_id: str, key: str, number: int, streak: int) -> None:
            steps, this = self._steps, DeliveryAttempt(job_id, key, number, streak)
            claimant = str(DBOS.workflow_id)
            wait_s = DBOS.run_step(_step("deliver"), steps.deliver.run, this, claimant)
            if wait_s is None and this.destination in steps.commit.requesters:
                wait_s = DBOS.run_step(_step("commit"), steps.commit.request, this)
            if wait_s is not None:
                following = DeliveryAttempt(job_id, key, number + 1, streak + 1)
                self.start_delivery(following, after_s=wait_s)
                return
            fallbacks = DBOS.run_step(_step("open_fallbacks"), steps.deliver.open_fallbacks, this)
            for fallback, run_number in fallbacks:
                first = DeliveryAttempt(job_id, fallback, number=1, streak=1)
                self.start_delivery(first, repair=run_suffix(run_number))

        self._run_job = run_job
        self._deliver_result = deliver_result

    def use(self, steps: JobSteps, options: EngineOptions) -> None:
        """Replaces the steps of workflows that start from now on, and the limits of the queues.

        Raises:
            Transient: the database of DBOS does not answer; nothing changes.
        """
        if self._is_launched:
            with database_errors_as_transient():
                _register_queues(options)
        self._steps, self._options = steps, options

    def launch(self) -> None:
        """Starts DBOS; this worker's unfinished workflows resume.

        Raises:
            Transient: its database does not answer or cannot be written.
        """
        # Without a handler, DBOS installs its own console handler.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        logging.getLogger("dbos").propagate = True
        event.listen(Engine, "handle_error", disconnect_if_unwritable)
        event.listen(Engine, "do_connect", self._add_password)
        DBOS(
            config={
                "name": "segnode",
                "system_database_url": self._options.database_url,
                "application_version": _APPLICATION_VERSION,
                "executor_id": self._options.executor_id,
                "log_level": "WARNING",
                "enable_otlp": False,
            }
        )
        with database_errors_as_transient():
            DBOS.launch()
            _register_queues(self._options)
        self._is_launched = True

    def close(self) -> None:
        """Stops DBOS immediately; the next start resumes running workflows."""
        DBOS.destroy(destroy_registry=True)
        event.remove(Engine, "handle_error", disconnect_if_unwritable)
        event.remove(Engine, "do_connect", self._add_password)

    def take_over(self, living: Collection[str]) -> None:
        """Reassigns the unfinished work of workers that are not in `living`."""
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        dead = {workflow.executor_id or "" for workflow in pending} - set(living)
        for executor_id in sorted(dead):
            recover_pending_workflows([executor_id])
            _LOG.warning("worker.work_taken_over", worker=executor_id)

    def start_job(self, job: Job, run_number: int) -> None:
        """Queues a job's run; idempotent."""
        self._start_part(RunPart(job.job_id, run_number), _queue_priority(job))

    def start_job_here(self, job: Job, run_number: int) -> None:
        """Starts a job's run in this process, whatever its queue holds; idempotent.

        It needs no inference process, because its early run has one or is over.
        """
        part = RunPart(job.job_id, run_number)
        with SetWorkflowID(part.workflow_id):
            DBOS.start_workflow(self._run_job, part.job_id)

    def continue_job(self, job: Job, run_number: int) -> None:
        """Queues a further part of a run that ended before its job did.

        An earlier version of the software, which cannot postpone, may have run the last part.
        """
        part = RunPart(job.job_id, run_number)
        while DBOS.get_workflow_status(part.workflow_id) is not None:
            part = part.next()
        self._start_part(part, _queue_priority(job))

    def start_delivery(
        self, this: DeliveryAttempt, *, after_s: float | None = None, repair: str = ""
    ) -> None:
        """Queues an attempt at a delivery; idempotent for the same attempt and `repair`.

        `repair` distinguishes the attempt from a broken or earlier one of the same number.
        """
        with (
            SetWorkflowID(delivery_id(this, repair)),
            SetEnqueueOptions(queue_partition_key=this.destination, delay_seconds=after_s),
        ):
            DBOS.enqueue_workflow(
                _DELIVERIES,
                self._deliver_result,
                this.job_id,
                this.key,
                this.number,
                this.streak,
            )

    def run_state(self, job_id: str, run_number: int) -> RunState:
        """Returns the state of a job's run."""
        part = RunPart(job_id, run_number)
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
        """Runs delayed workflows now that are due later than the maximum delay `max_s` allows.

        Their clock was set back after the delay began.
        """
        latest_ms = (time.time() + max_s) * 1000
        delayed = DBOS.list_workflows(status="DELAYED", load_input=False, load_output=False)
        for workflow in delayed:
            due_ms = workflow.delay_until_epoch_ms
            if due_ms is not None and due_ms > latest_ms:
                DBOS.set_workflow_delay(workflow.workflow_id, delay_seconds=0)

    def delivery_workflows(self) -> list[DeliveryWorkflow]:
        """Returns the workflow of each delivery that runs or waits."""
        active = DBOS.list_workflows(
            status=_ACTIVE, name="deliver_result", load_input=False, load_output=False
        )
        return [
            DeliveryWorkflow.of(found.workflow_id, is_delayed=found.status == "DELAYED")
            for found in active
        ]

    def hasten(self, workflow: DeliveryWorkflow) -> None:
        """Runs a delayed workflow now."""
        DBOS.set_workflow_delay(workflow.workflow_id, delay_seconds=0)

    def is_active(self, workflow_id: str) -> bool:
        """Whether the workflow runs or waits."""
        status = DBOS.get_workflow_status(workflow_id)
        return status is not None and status.status in _ACTIVE

    def _start_part(self, part: RunPart, priority: int, *, after_s: float | None = None) -> None:
        """Queues the part; idempotent."""
        with (
            SetWorkflowID(part.workflow_id),
            SetEnqueueOptions(priority=priority, delay_seconds=after_s),
        ):
            DBOS.enqueue_workflow(_INFERENCE, self._run_job, part.job_id)


def _register_queues(options: EngineOptions) -> None:
    DBOS.register_queue(
        _INFERENCE,
        worker_concurrency=options.inferences_at_once,
        polling_interval_sec=options.poll_seconds,
    )
    DBOS.register_queue(
        _DELIVERIES,
        worker_concurrency=_MAX_DELIVERIES,
        partition_worker_concurrency=_MAX_DELIVERIES_PER_DESTINATION,
        polling_interval_sec=options.poll_seconds,
    )


def _postpone(segment_step: SegmentStep, part: RunPart) -> tuple[float, int] | None:
    """Returns the delay in seconds and queue priority of a postponed job, else None."""
    wait_s = segment_step.postpone(part.job_id, part.run_number)
    job = segment_step.store.get_job(part.job_id)
    return None if wait_s is None or job is None else (wait_s, _queue_priority(job))


def _queue_priority(job: Job) -> int:
    return _FIRST_TURN[job.priority] + min(job.turn, _MAX_TURNS - 1)


def _step(name: str) -> StepOptions:
    """Options of a step that retries until the database is reachable again."""
    return {
        "name": name,
        "retries_allowed": True,
        "should_retry": _is_transient,
        "interval_seconds": _STEP_RETRY_SECONDS,
        "backoff_rate": 1.0,
        "max_attempts": _MAX_STEP_ATTEMPTS,
    }


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, Transient)
