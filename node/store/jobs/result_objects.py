"""The stored objects of jobs: one row per job and object."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.uid import SegmentationStorage
from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from node.domain.job import Job
from node.domain.result_objects import SEG, ResultObject, StoredObject
from node.store.repository import Repository
from node.store.schema import JOBS, RESULT_OBJECTS


class ResultObjects(Repository):
    """Records which objects a job has produced, and where their files are."""

    def record_objects(self, objects: Iterable[StoredObject]) -> None:
        """Stores the objects; an object that the job produced before is replaced."""
        with self._database.writing() as connection:
            for each in objects:
                row = {
                    "job_id": each.job_id,
                    "name": each.result_object.name,
                    "sop_class_uid": each.sop_class_uid,
                    "paths": [self._to_row(path) for path in each.paths],
                    "size_bytes": each.size_bytes,
                }
                connection.execute(
                    self._database.insert(RESULT_OBJECTS)
                    .values(row)
                    .on_conflict_do_update(index_elements=["job_id", "name"], set_=row)
                )

    def objects_of(self, job: Job) -> tuple[StoredObject, ...]:
        """Returns the objects of a job whose files are stored, ordered by name."""
        if job.result_path is None:
            return ()
        query = (
            select(RESULT_OBJECTS)
            .where(RESULT_OBJECTS.c.job_id == job.job_id)
            .order_by(RESULT_OBJECTS.c.name)
        )
        with self._database.reading() as connection:
            found = tuple(self._stored_object(row) for row in connection.execute(query))
        return found or (_only_seg(job),)

    def get_object(self, job: Job, result_object: ResultObject) -> StoredObject | None:
        """Returns one object of a job; None if the job has not produced it."""
        return next((o for o in self.objects_of(job) if o.result_object == result_object), None)

    def _stored_object(self, row: Row[Any]) -> StoredObject:
        return StoredObject(
            job_id=row.job_id,
            result_object=ResultObject.parse(row.name),
            sop_class_uid=row.sop_class_uid,
            paths=tuple(self.data_dir / path for path in row.paths),
            size_bytes=row.size_bytes,
        )


def remove_results(connection: Connection, data_dir: Path, jobs: ColumnElement[bool]) -> list[Path]:
    """Removes the results of these jobs from their rows; returns the files, which still exist."""
    own = select(JOBS.c.result_path, JOBS.c.picture_path).where(jobs)
    paths = {path for row in connection.execute(own) for path in row if path}
    of_jobs = RESULT_OBJECTS.c.job_id.in_(select(JOBS.c.job_id).where(jobs))
    for objects in connection.execute(select(RESULT_OBJECTS.c.paths).where(of_jobs)).scalars():
        paths.update(objects)
    connection.execute(delete(RESULT_OBJECTS).where(of_jobs))
    connection.execute(update(JOBS).where(jobs).values(result_path=None, picture_path=None))
    return [data_dir / path for path in sorted(paths)]


def _only_seg(job: Job) -> StoredObject:
    """Returns the result of a job of an earlier version, which recorded no objects."""
    assert job.result_path is not None  # noqa: S101 the caller has checked it
    return StoredObject(job.job_id, SEG, str(SegmentationStorage), (job.result_path,), 0)
