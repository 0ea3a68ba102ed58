"""Ends jobs: final state, reason and one summary line in the log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from node.domain.error_classification import Defect
from node.domain.job import Job, JobState
from node.store import Store
from node.store.jobs.jobs import IllegalChange

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class JobCompletion:
    """Ends jobs in the store; a job that has already ended stays unchanged."""

    store: Store
    now: Callable[[], datetime]

    def end(self, job: Job, state: JobState, reason: str, *, when_settled: bool = False) -> None:
        """Changes the job to `state` with a plain-text reason.

        With `when_settled`, a job with a delivery that waits stays unchanged.
        """
        now = self.now()
        timings_s = None
        if state is JobState.DELIVERED:
            timings_s = job.timings_s | {
                # The clock may have been set back in the meantime.
                "deliver": max(0.0, (now - job.updated_at).total_seconds())
            }
        try:
            ended = self.store.change_job(
                job.job_id,
                state,
                now,
                reason=reason,
                timings_s=timings_s,
                when_settled=when_settled,
            )
        except IllegalChange:
            return
        _LOG.info(
            "job.ended",
            job=ended.job_id,
            state=ended.state.value,
            series=ended.series_instance_uid,
            instances=ended.instance_count,
            part="" if ended.part is None else ended.part.title,
            model=f"{ended.model_id} {ended.model_version}",
            reason=ended.reason,
            seconds={stage: round(s, 2) for stage, s in ended.timings_s.items()},
        )
        if state is JobState.DELIVERED:
            self.store.add_stage_durations(ended.model_id, ended.timings_s)

    def record_defect(self, subject: str, defect: Defect) -> None:
        """Stores a defect's trace in the history of its job or series, and logs it."""
        self.store.add_event(self.now(), subject, "defect", defect.trace)
        _LOG.error("defect", subject=subject, trace=defect.trace)
