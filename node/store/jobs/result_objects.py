"""The stored objects of jobs: one row per job and object."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from node.domain.job import Job
from node.domain.result_objects import SEG, ResultObject, StoredObject
from node.store.repository import Repository
from node.store.schema import JOBS, RESULT_OBJECTS

_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"  # importing pydicom takes too long
# SQLite limits the number of values in a query.
_JOBS_PER_QUERY = 500


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
        return tuple(self.objects_of_jobs([job]))

    def objects_of_jobs(self, jobs: Sequence[Job]) -> Iterator[StoredObject]:
        """Yields the objects of these jobs whose files are stored, job by job, ordered by name."""
        with_result = [job for job in jobs if job.result_path is not None]
        found: dict[str, list[StoredObject]] = defaultdict(list)
        with self._database.reading() as connection:
            for first in range(0, len(with_result), _JOBS_PER_QUERY):
                some = [job.job_id for job in with_result[first : first + _JOBS_PER_QUERY]]
                query = (
                    select(RESULT_OBJECTS)
                    .where(RESULT_OBJECTS.c.job_id.in_(some))
                    .order_by(RESULT_OBJECTS.c.name)
                )
                for row in connection.execute(query):
                    found[row.job_id].append(self._stored_object(row))
        for job in with_result:
            yield from found.get(job.job_id) or [_only_seg(job)]

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
    return StoredObject(job.job_id, SEG, _SEGMENTATION_STORAGE, (job.result_path,), 0)
