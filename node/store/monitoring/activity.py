"""What the node did in a period: counts, turnaround times, senders and finished jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from node.domain.job import HELD, JobState
from node.domain.job_summary import is_lower_bound
from node.store.repository import Repository
from node.store.schema import JOBS, SERIES

# Turnaround times are read for so many jobs at most; the newest count.
_MAX_TURNAROUNDS = 5_000
_MAX_SENDERS = 50
_MAX_SENDER_SERIES = 20_000
# The comparison with earlier weeks reads so many jobs at most: three per minute for five weeks.
_MAX_FINISHED = 150_000


@dataclass(frozen=True)
class Activity:
    """Counts of a period: series by the time of their first image, jobs by the time they ended."""

    received: int
    delivered: int
    refused: int
    parked: int


@dataclass(frozen=True)
class Sender:
    """A sender, as `origin` of its series, and the time of its last image."""

    origin: str
    last_received_at: datetime


@dataclass(frozen=True)
class ParkedJob:
    """A job that waits for a person; `is_held` because of its findings."""

    job_id: str
    series_instance_uid: str
    reason: str
    is_held: bool
    parked_at: datetime


@dataclass(frozen=True)
class FinishedJob:
    """A delivered or refused job, for statistics. Volumes in mL, by organ, of complete organs."""

    model: str
    is_refused: bool
    ended_at: datetime
    run_s: float | None
    volumes_ml: Mapping[str, float]


class ActivityQueries(Repository):
    """Queries over series and jobs for the overview and for alerts; each uses an index."""

    def activity_since(self, since: datetime) -> Activity:
        """Counts what happened since then; a parked job counts while it is parked."""
        received = select(func.count()).where(SERIES.c.first_received_at >= since)
        ended = (
            select(JOBS.c.state, func.count())
            .where(
                JOBS.c.state.in_([JobState.DELIVERED, JobState.REFUSED, JobState.PARKED]),
                JOBS.c.updated_at >= since,
            )
            .group_by(JOBS.c.state)
        )
        with self._database.reading() as connection:
            series = connection.execute(received).scalar_one()
            jobs = {str(state): int(count) for state, count in connection.execute(ended)}
        return Activity(
            received=series,
            delivered=jobs.get(JobState.DELIVERED, 0),
            refused=jobs.get(JobState.REFUSED, 0),
            parked=jobs.get(JobState.PARKED, 0),
        )

    def oldest_queued_at(self) -> datetime | None:
        """Returns since when the oldest queued job waits; None if none does."""
        query = select(func.min(JOBS.c.updated_at)).where(JOBS.c.state == JobState.QUEUED)
        with self._database.reading() as connection:
            oldest: datetime | None = connection.execute(query).scalar_one()
        return oldest

    def turnarounds_s(self, since: datetime) -> list[float]:
        """Returns the seconds from last image to delivery of the jobs delivered since then.

        Repeated runs do not count, nor do series that grew after the delivery.
        """
        query = (
            select(JOBS.c.updated_at, SERIES.c.last_received_at)
            .join(SERIES, SERIES.c.series_instance_uid == JOBS.c.series_instance_uid)
            .where(
                JOBS.c.state == JobState.DELIVERED,
                JOBS.c.updated_at >= since,
                JOBS.c.updated_at >= SERIES.c.last_received_at,
                JOBS.c.run_number == 1,
            )
            .order_by(JOBS.c.updated_at.desc())
            .limit(_MAX_TURNAROUNDS)
        )
        with self._database.reading() as connection:
            return [
                (row.updated_at - row.last_received_at).total_seconds()
                for row in connection.execute(query)
            ]

    def senders_since(self, since: datetime) -> list[Sender]:
        """Returns who sent images since then, the latest first; the newest 20,000 series count."""
        newest = (
            select(SERIES.c.origin, SERIES.c.last_received_at)
            .where(SERIES.c.last_received_at >= since)
            .order_by(SERIES.c.last_received_at.desc())
            .limit(_MAX_SENDER_SERIES)
            .subquery()
        )
        latest = func.max(newest.c.last_received_at)
        query = (
            select(newest.c.origin, latest)
            .group_by(newest.c.origin)
            .order_by(latest.desc())
            .limit(_MAX_SENDERS)
        )
        with self._database.reading() as connection:
            return [Sender(origin, moment) for origin, moment in connection.execute(query)]

    def parked_jobs(self, limit: int) -> list[ParkedJob]:
        """Returns the jobs that wait for a person, those that wait longest first."""
        query = (
            select(JOBS.c.job_id, JOBS.c.series_instance_uid, JOBS.c.reason, JOBS.c.updated_at)
            .where(JOBS.c.state == JobState.PARKED)
            .order_by(JOBS.c.updated_at, JOBS.c.job_id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [
                ParkedJob(
                    row.job_id,
                    row.series_instance_uid,
                    row.reason,
                    row.reason.startswith(HELD),
                    row.updated_at,
                )
                for row in connection.execute(query)
            ]

    def finished_jobs(self, since: datetime) -> list[FinishedJob]:
        """Returns the jobs that were delivered or refused since then."""
        columns = (
            JOBS.c.model_id,
            JOBS.c.model_version,
            JOBS.c.state,
            JOBS.c.updated_at,
            JOBS.c.timings_s,
            JOBS.c.measurements,
        )
        query = (
            select(*columns)
            .where(
                JOBS.c.state.in_([JobState.DELIVERED, JobState.REFUSED]),
                JOBS.c.updated_at >= since,
            )
            .order_by(JOBS.c.updated_at.desc())
            .limit(_MAX_FINISHED)
        )
        with self._database.reading() as connection:
            return [
                FinishedJob(
                    model=f"{row.model_id} {row.model_version}",
                    is_refused=row.state == JobState.REFUSED,
                    ended_at=row.updated_at,
                    run_s=row.timings_s.get("segment"),
                    volumes_ml=_complete_volumes(row.measurements),
                )
                for row in connection.execute(query)
            ]


def _complete_volumes(measurements: Mapping[str, Mapping[str, float | bool]]) -> dict[str, float]:
    """Returns the volumes of the organs that were found and are completely in the series."""
    return {
        organ: float(measured["volume_ml"])
        for organ, measured in measurements.items()
        if measured.get("volume_ml") and not is_lower_bound(measured)
    }
