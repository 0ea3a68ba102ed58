"""Attempts of running jobs: which failed with a transient cause, and which know their organs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update

from node.domain.job import JobState
from node.store.audit import AuditEvent, append_event
from node.store.jobs.jobs import Jobs
from node.store.schema import AUDIT, JOBS

_FAILED_EVENT = "job.failed"
# Events that start a job, by the rules or by a person; earlier failures no longer count.
_START_EVENTS = ("job.queued", "job.rerun")


class Attempts(Jobs):
    """The failed attempts in the audit trail, why a job waits, and how far an attempt is."""

    def record_failed_attempt(self, job_id: str, error: str, now: datetime) -> None:
        """Records that running the model or storing its result failed for now."""
        with self._database.writing() as connection:
            append_event(connection, now, job_id, _FAILED_EVENT, error)

    def failed_attempts(self, job_id: str) -> tuple[AuditEvent, ...]:
        """Returns the failed attempts since the job was last started, oldest first."""
        of_job = AUDIT.c.subject == job_id
        last_start = select(func.max(AUDIT.c.event_id)).where(
            of_job, AUDIT.c.event.in_(_START_EVENTS)
        )
        query = (
            select(AUDIT)
            .where(
                of_job,
                AUDIT.c.event == _FAILED_EVENT,
                AUDIT.c.event_id > last_start.scalar_subquery(),
            )
            .order_by(AUDIT.c.event_id)
        )
        with self._database.reading() as connection:
            return tuple(
                AuditEvent(row.happened_at, row.subject, row.event, row.detail)
                for row in connection.execute(query)
            )

    def set_waiting_reason(self, job_id: str, reason: str, now: datetime) -> None:
        """Sets the reason why a RUNNING job waits and until when; other jobs stay unchanged."""
        statement = (
            update(JOBS)
            .where(JOBS.c.job_id == job_id, JOBS.c.state == JobState.RUNNING)
            .values(reason=reason, updated_at=now)
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def record_analysis(self, job_id: str, now: datetime) -> None:
        """Records that the organs of a RUNNING job are known; other jobs stay unchanged.

        The next attempt starts without that record.
        """
        statement = (
            update(JOBS)
            .where(JOBS.c.job_id == job_id, JOBS.c.state == JobState.RUNNING)
            .values(analysed_at=now)
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def analysed_before(self, job_id: str, others: Sequence[str]) -> list[str]:
        """Returns those of `others` that are RUNNING and whose organs were known earlier.

        Of two jobs with the same time, the one with the lower id is the earlier.
        """
        own = select(JOBS.c.analysed_at).where(JOBS.c.job_id == job_id).scalar_subquery()
        earlier = or_(
            JOBS.c.analysed_at < own, and_(JOBS.c.analysed_at == own, JOBS.c.job_id < job_id)
        )
        query = (
            select(JOBS.c.job_id)
            .where(JOBS.c.job_id.in_(others), JOBS.c.state == JobState.RUNNING, earlier)
            .order_by(JOBS.c.job_id)
        )
        with self._database.reading() as connection:
            return [str(found) for found in connection.execute(query).scalars()]
