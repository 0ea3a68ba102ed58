"""Reruns: jobs that a person starts again from the images, whatever their outcome."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.engine import Connection

from node.domain.delivery import DeliveryState
from node.domain.job import Job, JobState, can_rerun
from node.store.history import append_event
from node.store.jobs.jobs import IllegalChange, Jobs, UnknownJob
from node.store.jobs.result_objects import remove_results
from node.store.schema import DELIVERIES, HISTORY, JOBS, SERIES
from node.store.series_index import refresh_index

# Events of a series whose images a person or the retention has deleted.
_DELETIONS = ("series.deleted", "series.cleared")
_WITHOUT_RESULT = (JobState.REFUSED, JobState.DISCARDED)


class Reruns(Jobs):
    """Restarts jobs that have ended."""

    def rerun_job(self, job_id: str, now: datetime) -> Job:
        """Requeues the job, deletes its result and makes all its deliveries due.

        The rerun gives the same SOP Instance UID again, or is superseded by a job for a newer
        version of the model.

        Raises:
            UnknownJob: no job has this id.
            IllegalChange: the job has not ended, was superseded, or its images are deleted.
            Transient: the earlier result cannot be deleted.
        """
        query = select(JOBS).where(JOBS.c.job_id == job_id).with_for_update()
        images = select(SERIES.c.instance_count)
        with self._database.writing() as connection:
            row = connection.execute(query).first()
            if row is None:
                raise UnknownJob(f"there is no job {job_id}")
            if not can_rerun(JobState(row.state)):
                raise IllegalChange(f"job {job_id} is {row.state}")
            in_series = SERIES.c.series_instance_uid == row.series_instance_uid
            if not connection.execute(images.where(in_series)).scalar_one():
                raise IllegalChange(f"the images of job {job_id} have been deleted")
            self.files.remove(remove_results(connection, self.data_dir, JOBS.c.job_id == job_id))
            changed = requeue(connection, job_id, now)
            refresh_index(self._database, connection, [changed.series_instance_uid])
        return self._job(changed)


def requeue_after_deletion(
    connection: Connection, series_uid: str, job_ids: Collection[str], now: datetime
) -> None:
    """Requeues jobs of a series that gave no result before its images were deleted.

    The same images have been sent again, and may be whole now.
    """
    deleted_at = select(func.max(HISTORY.c.happened_at)).where(
        HISTORY.c.subject == series_uid, HISTORY.c.event.in_(_DELETIONS)
    )
    failed = select(JOBS.c.job_id).where(
        JOBS.c.job_id.in_(job_ids),
        JOBS.c.state.in_(_WITHOUT_RESULT),
        JOBS.c.updated_at <= deleted_at.scalar_subquery(),
    )
    for job_id in connection.execute(failed).scalars().all():
        requeue(connection, job_id, now)


def requeue(connection: Connection, job_id: str, now: datetime) -> Row[Any]:
    """Changes an ended job without files to queued, its deliveries to waiting; returns its row."""
    changed = connection.execute(
        update(JOBS)
        .where(JOBS.c.job_id == job_id)
        .values(
            state=JobState.QUEUED,
            updated_at=now,
            reason="",
            measurements={},
            findings=[],
            timings_s={},
            run_number=JOBS.c.run_number + 1,
        )
        .returning(JOBS)
    ).one()
    connection.execute(
        update(DELIVERIES)
        .where(DELIVERIES.c.job_id == job_id)
        .values(
            state=DeliveryState.WAITING,
            waiting_since=now,
            next_try_at=now,
            last_error="",
            receipt="",
        )
    )
    append_event(connection, now, job_id, "job.rerun")
    return changed
