"""What became of each series, in one word: the list that people look at."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select

from node.domain.job import Job
from node.domain.series import SeriesState, StoredSeries
from node.store.jobs import Jobs
from node.store.schema import JOBS
from node.store.series import SeriesRecords


@dataclass(frozen=True)
class SeriesOutcome:
    """A series with the jobs that came of it, newest first."""

    series: StoredSeries
    jobs: tuple[Job, ...]

    @property
    def job(self) -> Job | None:
        """The newest job, where there is one."""
        return self.jobs[0] if self.jobs else None

    @property
    def outcome(self) -> str:
        """`receiving`, `ignored`, or the newest job's state; `accepted` until there is a job."""
        if self.series.state is SeriesState.ACCEPTED and self.jobs:
            return self.jobs[0].state.value
        return self.series.state.value

    @property
    def reason(self) -> str:
        """Why the newest job was refused or parked, in plain words; empty for the rest."""
        return self.jobs[0].reason if self.outcome != self.series.state.value else ""


class Outcomes(SeriesRecords, Jobs):
    """Series seen together with their jobs."""

    def series_with_outcome(self, limit: int = 100) -> list[SeriesOutcome]:
        """The series that were heard of last and what became of each, newest first."""
        series = self.list_series(limit)
        query = (
            select(JOBS)
            .where(JOBS.c.series_instance_uid.in_([one.series_instance_uid for one in series]))
            .order_by(JOBS.c.created_at.desc(), JOBS.c.job_id)
        )
        jobs: dict[str, list[Job]] = defaultdict(list)
        with self._database.reading() as connection:
            for row in connection.execute(query):
                jobs[row.series_instance_uid].append(self._job(row))
        return [SeriesOutcome(one, tuple(jobs[one.series_instance_uid])) for one in series]
