"""Stops the jobs of a work item that is canceled, unless something else wants their results."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from node.domain.delivery import DeliveryState
from node.domain.job import Job, JobState
from node.domain.worklists.work_item import WorkItem
from node.routing.rules import Rule
from node.store import IllegalChange, Store
from node.worklists.input_progress import jobs_of_input

_SENT = {DeliveryState.COMMITTING, DeliveryState.DELIVERED}
_UNFINISHED = {JobState.QUEUED, JobState.RUNNING, JobState.DELIVERING, JobState.PARKED}


@dataclass(frozen=True)
class JobStop:
    """Finds and discards the unfinished jobs of a work item."""

    store: Store
    now: Callable[[], datetime]

    def has_sent(self, item: WorkItem, rule: Rule) -> bool:
        """Whether a destination has a result of the work item, so that it is too late."""
        return any(
            self._is_sent(job)
            for one in item.inputs
            for job in jobs_of_input(self.store, one, rule)
        )

    def discard_jobs(self, item: WorkItem, rule: Rule, reason: str) -> None:
        """Discards the unfinished jobs that nothing but this work item asks for.

        A job that another rule, or another work item, asks for continues.
        """
        for job in self._jobs(item, rule):
            if job.state not in _UNFINISHED or self._is_sent(job):
                continue
            if self._is_wanted_otherwise(item, rule, job):
                continue
            # A job that changed in this moment has ended, or its next step finds it discarded.
            with suppress(IllegalChange):
                if job.state is not JobState.PARKED:
                    self.store.change_job(job.job_id, JobState.PARKED, self.now(), reason=reason)
                self.store.change_job(job.job_id, JobState.DISCARDED, self.now())

    def _jobs(self, item: WorkItem, rule: Rule) -> list[Job]:
        """The jobs of each series for the rule's model, oldest first."""
        return [
            job
            for one in item.inputs
            for job in self.store.jobs_of(one.series_instance_uid)
            if rule.selects(job.model_id, job.model_version)
        ]

    def _is_sent(self, job: Job) -> bool:
        return any(d.state in _SENT for d in self.store.deliveries_of(job.job_id))

    def _is_wanted_otherwise(self, item: WorkItem, rule: Rule, job: Job) -> bool:
        by_other_rules = not rule.only_for_work_items or job.rules != (rule.name,)
        return by_other_rules or self.store.is_requested_elsewhere(item, job.series_instance_uid)
