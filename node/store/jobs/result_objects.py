"""The stored objects of jobs: one row per job and object."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, select, update

from node.domain.job import Job
from node.domain.result_objects import SEG, ResultObject, StoredObject
from node.store.jobs.job_rows import JobRows
from node.store.schema import JOBS, RESULT_OBJECTS, RESULT_UIDS

_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"  # importing pydicom takes too long
# SQLite limits the number of values in a query.
_JOBS_PER_QUERY = 500


class ResultObjects(JobRows):
    """Records which objects a job has produced, and where their files are."""

    def record_objects(self, objects: Iterable[StoredObject]) -> None:
        """Stores the objects; an object that the job produced before is replaced."""
        with self._database.writing() as connection:
            for each in objects:
                self._add_uids(connection, [each])
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

    def job_of_result(self, uid: str) -> Job | None:
        """Returns the job with a result of which this is the UID of the series or an instance."""
        query = (
            select(JOBS)
            .join(RESULT_UIDS, RESULT_UIDS.c.job_id == JOBS.c.job_id)
            .where(RESULT_UIDS.c.uid == uid)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else self._job(row)

    def add_missing_result_uids(self, series_uids: Sequence[str]) -> None:
        """Adds the UIDs of the results of these series, which an earlier version did not store."""
        query = select(JOBS).where(
            JOBS.c.series_instance_uid.in_(series_uids),
            JOBS.c.result_path.is_not(None),
            ~exists().where(RESULT_UIDS.c.job_id == JOBS.c.job_id),
        )
        with self._database.reading() as connection:
            jobs = [self._job(row) for row in connection.execute(query)]
        if jobs:
            objects = list(self.objects_of_jobs(jobs))
            with self._database.writing() as connection:
                self._add_uids(connection, objects)

    def _add_uids(self, connection: Connection, objects: Iterable[StoredObject]) -> None:
        rows = [
            {"uid": uid, "job_id": each.job_id}
            for each in objects
            if each.sop_class_uid
            for uid in (each.uids.series_instance_uid, *each.sop_instance_uids)
        ]
        if rows:
            statement = self._database.insert(RESULT_UIDS).on_conflict_do_nothing()
            connection.execute(statement, rows)

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

    def iter_result_files(self) -> Iterator[tuple[str, Path]]:
        """Yields the id of each job with a result, with each file of it and of its picture.

        Reads the jobs in pages, so that others can write.
        """
        last = ""
        while True:
            query = (
                select(JOBS)
                .where(JOBS.c.job_id > last, JOBS.c.result_path.is_not(None))
                .order_by(JOBS.c.job_id)
                .limit(_JOBS_PER_QUERY)
            )
            with self._database.reading() as connection:
                jobs = [self._job(row) for row in connection.execute(query)]
            for each in self.objects_of_jobs(jobs):
                yield from ((each.job_id, path) for path in each.paths)
            yield from ((job.job_id, job.picture_path) for job in jobs if job.picture_path)
            if len(jobs) < _JOBS_PER_QUERY:
                return
            last = jobs[-1].job_id

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
    of_jobs = RESULT_UIDS.c.job_id.in_(select(JOBS.c.job_id).where(jobs))
    connection.execute(delete(RESULT_UIDS).where(of_jobs))
    connection.execute(update(JOBS).where(jobs).values(result_path=None, picture_path=None))
    return [data_dir / path for path in sorted(paths)]


def _only_seg(job: Job) -> StoredObject:
    """Returns the result of a job of an earlier version, which recorded no objects."""
    assert job.result_path is not None  # noqa: S101 the caller has checked it
    return StoredObject(job.job_id, SEG, _SEGMENTATION_STORAGE, (job.result_path,), 0)
