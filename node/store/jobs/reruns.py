"""Reruns: jobs that a person starts again from the images, whatever their outcome."""

from datetime import datetime

from sqlalchemy import select, update

from node.domain.delivery import DeliveryState
from node.domain.job import Job, JobState, can_rerun
from node.store.history import append_event
from node.store.jobs.jobs import IllegalChange, Jobs, UnknownJob
from node.store.jobs.result_objects import remove_results
from node.store.schema import DELIVERIES, JOBS, SERIES
from node.store.series_index import refresh_index


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
            refresh_index(self._database, connection, [changed.series_instance_uid])
        return self._job(changed)
