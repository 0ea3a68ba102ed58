"""Acts on what people requested about deliveries; safe to repeat after a crash at any moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from node.domain.delivery import DeliveryState
from node.domain.job import JobState
from node.domain.queues.pause import Queue
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt
from node.jobs.workflow import RunState, Workflows
from node.jobs.workflow_ids import DeliveryWorkflow
from node.store import Store
from node.store.queues.delivery_changes import DeliveryRequest

_LOG = structlog.get_logger()
# Requests per poll: each one that starts a workflow waits for the disk.
_MAX_REQUESTS = 200


@dataclass(frozen=True)
class DeliveryRequests:
    """Starts the attempts that people request, and ends jobs whose deliveries they discarded."""

    store: Store
    workflows: Workflows
    deliver_step: DeliverStep
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Acts on the oldest requests; one that must wait for a workflow stays open."""
        requests = self.store.delivery_requests(_MAX_REQUESTS)
        if not requests:
            return
        pauses = self.store.pauses()
        # Read before the workflows: a run that has ended has started its deliveries before.
        running = {r.name.job_id for r in requests if self._is_run_active(r.name.job_id)}
        workflows = self.workflows.delivery_workflows()
        for request in requests:
            if request.delivery.state is not DeliveryState.WAITING:
                self.deliver_step.finish_if_settled(request.name.job_id)
                self.store.close_request(request)
            elif (
                request.job_state is not JobState.DELIVERING
                or Queue.of_destination(request.name.destination) in pauses
            ):
                # The run of the job, or the end of the pause, starts the delivery.
                self.store.close_request(request)
            elif request.name.job_id not in running:
                own = [w for w in workflows if w.name == request.name]
                if self._is_on_its_way(request, own):
                    self.store.close_request(request)

    def start_lost(self, this: DeliveryAttempt, repair: str) -> None:
        """Starts an attempt for which there is no workflow.

        A claim that the delivery has from a workflow that ended without an outcome is released.
        """
        claimant = self.store.claimant_of(this.job_id, this.key)
        if claimant is not None and not self.workflows.is_active(claimant):
            self.store.release_claim(this.job_id, this.key, claimant)
            _LOG.warning("delivery.claim_released", job=this.job_id, delivery=this.key)
        self.workflows.start_delivery(this, repair=repair)

    def _is_run_active(self, job_id: str) -> bool:
        number = self.store.run_number(job_id)
        return self.workflows.run_state(job_id, number) is RunState.ACTIVE

    def _is_on_its_way(self, request: DeliveryRequest, own: Sequence[DeliveryWorkflow]) -> bool:
        """Brings the next attempt forward, or starts it; False if that is not yet known."""
        made = request.delivery.attempts
        following = [workflow for workflow in own if workflow.number > made]
        for workflow in following:
            if workflow.is_delayed:
                self.workflows.hasten(workflow)
        if following:
            return True
        if own:  # its attempt has an outcome; it may be about to start the next one
            return False
        name = request.name
        this = DeliveryAttempt(name.job_id, name.key, number=made + 1, streak=1)
        # The same request gives the same workflow, so that a repetition starts no second one.
        self.start_lost(this, repair=f"-request{request.requested_at:%Y%m%d%H%M%S%f}")
        return True
