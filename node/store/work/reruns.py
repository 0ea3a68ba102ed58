"""Jobs that a person has done again from the images, whatever came of them."""

from datetime import datetime

from sqlalchemy import select, update

from node.domain.delivery import DeliveryState
from node.domain.job import Job, JobState, may_run_again
from node.store.audit import append
from node.store.schema import DELIVERIES, JOBS, SERIES
from node.store.work.jobs import IllegalChange, Jobs, UnknownJob


class Reruns(Jobs):
    """Takes a job that has ended back to its beginning."""

    def rerun_job(self, job_id: str, now: datetime) -> Job:
        """Takes the job to QUEUED, without its result, all its deliveries due anew.

        It gives the same SOP instance again, or makes way for a newer version of its model.

        Raises:
            UnknownJob: there is none of that id.
            IllegalChange: it has not ended, or a newer one took its place, or the images are gone.
            Transient: the earlier result cannot be deleted.
        """
        held = select(JOBS).where(JOBS.c.job_id == job_id).with_for_update()
        images = select(SERIES.c.instance_count)
        with self._database.writing() as connection:
            row = connection.execute(held).first()
            if row is None:
                raise UnknownJob(f"there is no job {job_id}")
            if not may_run_again(JobState(row.state)):
                raise IllegalChange(f"job {job_id} is {row.state}")
            in_series = SERIES.c.series_instance_uid == row.series_instance_uid
            if not connection.execute(images.where(in_series)).scalar_one():
                raise IllegalChange(f"the images of job {job_id} have been deleted")
            job = self._job(row)
            made = (job.result_path, job.picture_path)
            self.files.remove([file for file in made if file is not None])
            changed = connection.execute(
                update(JOBS)
                .where(JOBS.c.job_id == job_id)
                .values(
                    state=JobState.QUEUED,
                    updated_at=now,
                    reason="",
                    measurements={},
                    timings_s={},
                    result_path=None,
                    picture_path=None,
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
            append(connection, now, job_id, "job.rerun")
        return self._job(changed)
