"""Attempts of running jobs: which failed with a transient cause, and which know their organs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update

from node.domain.errors import RejectionReason
from node.domain.job import JobState
from node.store.history import HistoryEvent, append_event
from node.store.jobs.jobs import Jobs
from node.store.schema import HISTORY, JOBS

_FAILED_EVENT = "job.failed"
_REJECTED_EVENT = "job.rejected"
# Events that start a job, by the rules or by a person; earlier failures no longer count.
_START_EVENTS = ("job.queued", "job.rerun")


class Attempts(Jobs):
    """The failed attempts in the history, why a job waits, and how far an attempt is."""

    def record_failed_attempt(self, job_id: str, error: str, now: datetime) -> None:
        """Records that running the model or storing its result failed for now."""
        with self._database.writing() as connection:
            append_event(connection, now, job_id, _FAILED_EVENT, error)

    def failed_attempts(self, job_id: str) -> tuple[HistoryEvent, ...]:
        """Returns the failed attempts since the job was last started, oldest first."""
        of_job = HISTORY.c.subject == job_id
        last_start = select(func.max(HISTORY.c.event_id)).where(
            of_job, HISTORY.c.event.in_(_START_EVENTS)
        )
        query = (
            select(HISTORY)
            .where(
                of_job,
                HISTORY.c.event == _FAILED_EVENT,
                HISTORY.c.event_id > last_start.scalar_subquery(),
            )
            .order_by(HISTORY.c.event_id)
        )
        with self._database.reading() as connection:
            return tuple(
                HistoryEvent(row.happened_at, row.subject, row.event, row.detail)
                for row in connection.execute(query)
            )

    def record_rejection(self, job_id: str, reason: RejectionReason, now: datetime) -> None:
        """Records the code of the reason for which the job refuses the series."""
        with self._database.writing() as connection:
            append_event(connection, now, job_id, _REJECTED_EVENT, reason.value)

    def rejection_of(self, job_id: str) -> RejectionReason | None:
        """Returns the last recorded code; None if there is none."""
        query = (
            select(HISTORY.c.detail)
            .where(HISTORY.c.subject == job_id, HISTORY.c.event == _REJECTED_EVENT)
            .order_by(HISTORY.c.event_id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            detail = connection.execute(query).scalar_one_or_none()
        return None if detail is None else RejectionReason(detail)

    def set_waiting_reason(self, job_id: str, reason: str, now: datetime) -> None:
        """Sets the reason why a RUNNING job waits and until when; other jobs stay unchanged."""
        statement = (
            update(JOBS)
            .where(JOBS.c.job_id == job_id, JOBS.c.state == JobState.RUNNING)
            .values(reason=reason, updated_at=now)
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def record_analysis(
        self, job_id: str, others: Sequence[str], now: datetime
    ) -> dict[str, datetime]:
        """Records that the organs of a RUNNING job are known; the next attempt forgets it.

        Returns those of `others` that are RUNNING and have such a record already, with its time. Of
        two jobs that record each other at once, exactly one gets the other: the rows are locked.
        """
        rows = (
            select(JOBS.c.job_id, JOBS.c.state, JOBS.c.analysed_at)
            .where(JOBS.c.job_id.in_([job_id, *others]))
            .order_by(JOBS.c.job_id)
            .with_for_update()
        )
        own = update(JOBS).where(JOBS.c.job_id == job_id, JOBS.c.state == JobState.RUNNING)
        with self._database.writing() as connection:
            found = _storing(connection.execute(rows).all())
            connection.execute(own.values(analysed_at=now))
        return {other: at for other, at in found.items() if other != job_id}

    def still_storing(self, jobs: Mapping[str, datetime]) -> list[str]:
        """Returns those of the jobs, by id, that are RUNNING since that record of their organs."""
        query = select(JOBS.c.job_id, JOBS.c.state, JOBS.c.analysed_at)
        with self._database.reading() as connection:
            found = _storing(connection.execute(query.where(JOBS.c.job_id.in_(list(jobs)))).all())
        return sorted(job_id for job_id, at in found.items() if at == jobs[job_id])


def _storing(rows: Sequence[Row[*tuple[Any, ...]]]) -> dict[str, datetime]:
    """Returns the jobs that are RUNNING and know their organs, with the time of that record."""
    return {
        row.job_id: row.analysed_at
        for row in rows
        if row.state == JobState.RUNNING and row.analysed_at is not None
    }
