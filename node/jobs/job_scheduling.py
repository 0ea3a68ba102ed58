"""Gives each job its durable workflow and repairs jobs that lost theirs; safe to repeat."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from node.domain.job import Job, JobState
from node.domain.queues.selection import DeliveryName
from node.jobs.commit_step import CommitStep
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt
from node.jobs.delivery_requests import DeliveryRequests
from node.jobs.job_completion import JobCompletion
from node.jobs.workflow import RunState, Workflows
from node.store import Store

# Unfinished jobs per repair; the next repairs see the others.
_MAX_JOBS = 10_000


@dataclass
class JobScheduler:
    """Starts the workflows of queued jobs, and repairs unfinished jobs."""

    store: Store
    workflows: Workflows
    deliver_step: DeliverStep
    commit_step: CommitStep
    now: Callable[[], datetime]
    # Whether the work on a job has begun early in this process, which then goes on with it.
    has_begun: Callable[[str], bool] = lambda _job_id: False
    _started: set[tuple[str, int]] = field(default_factory=set)
    _was_paused: bool = False

    def poll(self) -> None:
        """Starts the workflow of every queued job, and acts on what people requested."""
        queued = self.store.queued_jobs()
        for job, run_number in queued:
            if (job.job_id, run_number) not in self._started:
                if self.has_begun(job.job_id):
                    self.workflows.start_job_here(job, run_number)
                else:
                    self.workflows.start_job(job, run_number)
        self._started = {(job.job_id, run_number) for job, run_number in queued}
        self._delivery_requests.poll()
        was_paused, self._was_paused = self._was_paused, self.store.is_inference_paused()
        if was_paused and not self._was_paused:
            self._continue_unfinished()

    def settle_commitments(self) -> None:
        """Settles answered and overdue commitment requests; sends refused results again."""
        for attempt, wait_s in self.commit_step.poll():
            self.workflows.start_delivery(attempt, after_s=wait_s)

    def repair(self) -> None:
        """Restarts jobs that DBOS lost or delays too long; parks jobs whose workflow is broken."""
        self.workflows.cap_delays(self.deliver_step.policy.max_s)
        self._continue_unfinished()
        ended = [
            job.job_id
            for job in self.store.list_jobs(_MAX_JOBS, {JobState.DELIVERING})
            if self._run_state(job) is not RunState.ACTIVE
        ]
        # Read after the run states: a run that has ended has started its deliveries before.
        active = {workflow.name for workflow in self.workflows.delivery_workflows()}
        for job_id in ended:
            for key, number in self.deliver_step.open_attempts(job_id):
                if DeliveryName(job_id, key) not in active:
                    this = DeliveryAttempt(job_id, key, number, streak=1)
                    self._delivery_requests.start_lost(this, f"-{self.now():%Y%m%d%H%M%S}")

    @property
    def _delivery_requests(self) -> DeliveryRequests:
        return DeliveryRequests(self.store, self.workflows, self.deliver_step, self.now)

    def _continue_unfinished(self) -> None:
        """Restarts unfinished jobs without a run, and parks those whose run is broken.

        While the inference is paused, runs end before their jobs do.
        """
        is_paused = self.store.is_inference_paused()
        for job in self.store.list_jobs(_MAX_JOBS, {JobState.QUEUED, JobState.RUNNING}):
            match self._run_state(job):
                case RunState.UNKNOWN:
                    self.workflows.start_job(job, self.store.run_number(job.job_id))
                case RunState.BROKEN:
                    self._park(job)
                case RunState.ENDED if not is_paused:
                    self._continue(job)

    def _run_state(self, job: Job) -> RunState:
        return self.workflows.run_state(job.job_id, self.store.run_number(job.job_id))

    def _continue(self, job: Job) -> None:
        """Continues a job whose run has ended, unless the job changed in the meantime."""
        current = self.store.get_job(job.job_id)
        if (
            current is not None
            and current.state is job.state
            and current.updated_at == job.updated_at
        ):
            self.workflows.continue_job(job, self.store.run_number(job.job_id))

    def _park(self, job: Job) -> None:
        reason = (
            "the worker ended several times during this job, or could not store its result; "
            "check its log and the memory and disk of the machine, then retry the job"
        )
        JobCompletion(self.store, self.now).end(job, JobState.PARKED, reason)
