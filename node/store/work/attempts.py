"""Jobs that a passing trouble keeps from their result, such as a full disk."""

from datetime import datetime

from sqlalchemy import func, select, update

from node.domain.job import JobState
from node.store.audit import AuditEvent, append
from node.store.schema import AUDIT, JOBS
from node.store.work.jobs import Jobs

_FAILED = "job.failed"
# By the rules or by a person; what failed before counts no more.
_BEGUN = ("job.queued", "job.rerun")


class Tries(Jobs):
    """What the trail tells of a job's tries, and the wait for the next one."""

    def record_failed_try(self, job_id: str, error: str, now: datetime) -> None:
        """Notes that the model could not be run, or its result not be kept, for now."""
        with self._database.writing() as connection:
            append(connection, now, job_id, _FAILED, error)

    def failed_tries(self, job_id: str) -> tuple[AuditEvent, ...]:
        """The tries that have failed since the job was last begun, oldest first."""
        of_job = AUDIT.c.subject == job_id
        begun = select(func.max(AUDIT.c.event_id)).where(of_job, AUDIT.c.event.in_(_BEGUN))
        query = (
            select(AUDIT)
            .where(of_job, AUDIT.c.event == _FAILED, AUDIT.c.event_id > begun.scalar_subquery())
            .order_by(AUDIT.c.event_id)
        )
        with self._database.reading() as connection:
            return tuple(
                AuditEvent(row.happened_at, row.subject, row.event, row.detail)
                for row in connection.execute(query)
            )

    def await_next_try(self, job_id: str, told: str, now: datetime) -> None:
        """Has a RUNNING job tell why it waits and until when; any other stays as it is."""
        change = (
            update(JOBS)
            .where(JOBS.c.job_id == job_id, JOBS.c.state == JobState.RUNNING)
            .values(reason=told, updated_at=now)
        )
        with self._database.writing() as connection:
            connection.execute(change)
