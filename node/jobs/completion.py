"""How a job comes to an end, and the one line that the log keeps of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from node.domain.failures import Defect
from node.domain.job import Job, JobState
from node.store import Store
from node.store.jobs.jobs import IllegalChange

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class JobCompletion:
    """Ends jobs in the store; a job that has ended otherwise meanwhile stays as it is."""

    store: Store
    now: Callable[[], datetime]

    def end(self, job: Job, state: JobState, reason: str) -> None:
        """Take the job to `state`, with its reason in plain words."""
        now = self.now()
        timings_s = None
        if state is JobState.DELIVERED:
            timings_s = job.timings_s | {
                # A clock may have been set back meanwhile.
                "deliver": max(0.0, (now - job.updated_at).total_seconds())
            }
        try:
            ended = self.store.change_job(
                job.job_id, state, now, reason=reason, timings_s=timings_s
            )
        except IllegalChange:
            return
        _LOG.info(
            "job.ended",
            job=ended.job_id,
            state=ended.state.value,
            series=ended.series_instance_uid,
            instances=ended.instance_count,
            model=f"{ended.model_id} {ended.model_version}",
            reason=ended.reason,
            seconds={stage: round(s, 2) for stage, s in ended.timings_s.items()},
        )

    def record_defect(self, subject: str, defect: Defect) -> None:
        """Keep a defect's trace where its job or series is looked at, and in the log."""
        self.store.audit(self.now(), subject, "defect", defect.trace)
        _LOG.error("defect", subject=subject, trace=defect.trace)
