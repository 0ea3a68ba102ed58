"""Searches series by the state and the destination of their jobs."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, select

from node.domain.delivery import CHANGEABLE, Delivery, keys_of
from node.domain.job import HELD, Job, JobState
from node.domain.series import SeriesState, StoredSeries
from node.store.jobs.deliveries import delivery_from_row
from node.store.jobs.job_rows import JobRows, has_visible_state
from node.store.received.series import stored_series
from node.store.schema import DELIVERIES, JOBS, SERIES

# The states in which most jobs end, and no state.
_MOST_STATES = {JobState.DELIVERED, JobState.REFUSED, None}


@dataclass(frozen=True)
class JobCriteria:
    """Conditions on a series and its jobs; one that is None or empty selects all.

    The state of a job is the one that people see. `destination` selects jobs with a delivery to it
    that waits or was given up. `since` is about the last image of the series. `only_held` selects
    jobs that are held because of their findings.
    """

    state: JobState | SeriesState | None = None
    destination: str = ""
    since: datetime | None = None
    only_held: bool = False

    @property
    def finds_few(self) -> bool:
        """Whether few jobs of a large site meet the criteria: they wait, or a person ended them."""
        return bool(self.destination) or self.only_held or self.state not in _MOST_STATES


@dataclass(frozen=True)
class FoundSeries:
    """A series with the jobs that meet the criteria, oldest first, and their deliveries."""

    series: StoredSeries
    jobs: tuple[tuple[Job, tuple[Delivery, ...]], ...]


class JobSearch(JobRows):
    """Finds series with their jobs."""

    def find_series(self, criteria: JobCriteria, limit: int) -> list[FoundSeries]:
        """Returns the series that meet the criteria, those with the newest images first."""
        of_series = JOBS.c.series_instance_uid == SERIES.c.series_instance_uid
        of_job = _job_conditions(criteria)
        query = select(SERIES).order_by(SERIES.c.last_received_at.desc()).limit(limit)
        if criteria.since is not None:
            query = query.where(SERIES.c.last_received_at >= criteria.since)
        if isinstance(criteria.state, SeriesState):
            query = query.where(SERIES.c.state == criteria.state)
        if of_job and criteria.finds_few:
            query = query.where(
                SERIES.c.series_instance_uid.in_(select(JOBS.c.series_instance_uid).where(*of_job))
            )
        elif of_job:
            query = query.where(exists().where(of_series, *of_job))
        jobs_query = select(JOBS).where(*of_job)
        found = []
        with self._database.reading() as connection:
            for row in connection.execute(query).all():
                own = jobs_query.where(JOBS.c.series_instance_uid == row.series_instance_uid)
                jobs = [self._job(each) for each in connection.execute(own)]
                # Not by the query, for which SQLite would read all jobs in a state in this order.
                jobs.sort(key=lambda job: (job.created_at, job.job_id))
                with_deliveries = tuple((job, _deliveries(connection, job)) for job in jobs)
                found.append(FoundSeries(stored_series(row), with_deliveries))
        return found


def _job_conditions(criteria: JobCriteria) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if isinstance(criteria.state, JobState):
        conditions.append(has_visible_state(criteria.state))
    if criteria.only_held:
        conditions.append(JOBS.c.reason.startswith(HELD, autoescape=True))
    if criteria.destination:
        conditions.append(
            JOBS.c.job_id.in_(
                select(DELIVERIES.c.job_id).where(
                    DELIVERIES.c.destination.in_(keys_of(criteria.destination)),
                    DELIVERIES.c.state.in_(CHANGEABLE),
                )
            )
        )
    return conditions


def _deliveries(connection: Connection, job: Job) -> tuple[Delivery, ...]:
    query = select(DELIVERIES).where(DELIVERIES.c.job_id == job.job_id)
    rows = connection.execute(query.order_by(DELIVERIES.c.destination))
    return tuple(delivery_from_row(row) for row in rows)
