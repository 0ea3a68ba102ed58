"""What became of each series, in one word: the list that people look at."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, select, update

from node.domain.job import Job, Replaced
from node.domain.series import SeriesState, StoredSeries
from node.store.audit import append
from node.store.received.series import SeriesRecords
from node.store.schema import AUDIT, JOBS, SERIES
from node.store.work.jobs import Jobs

# A result that has ever left the node. Its deliveries do not tell: they begin anew with a rerun.
_EVER_SENT: ColumnElement[bool] = exists().where(
    AUDIT.c.subject == JOBS.c.job_id,
    AUDIT.c.event.in_(["delivery.stored", "delivery.delivered"]),
)


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
        """Why the newest job was refused, parked or put off, in plain words; else empty."""
        return self.jobs[0].reason if self.outcome != self.series.state.value else ""


@dataclass(frozen=True)
class Recorded:
    """A decision that was kept; `made` are the jobs that are new with it."""

    made: tuple[Job, ...]


class Outcomes(SeriesRecords, Jobs):
    """Series seen together with their jobs."""

    def record_decision(
        self,
        uid: str,
        decision_json: str,
        state: SeriesState,
        now: datetime,
        seen_count: int,
        *,
        jobs: Sequence[Job] = (),
    ) -> Recorded | None:
        """Keeps what was decided about the series as it was with `seen_count` instances.

        Its `jobs` take the place of the series' earlier ones of the same models, as far as those
        have sent nothing. None, and nothing changed, when more instances have come since; so a
        worker that was slow never undoes what another has decided about the fuller series.
        """
        held = select(SERIES.c.instance_count).where(SERIES.c.series_instance_uid == uid)
        values = {"state": state, "start_requested": False, "decision": decision_json}
        with self._database.writing() as connection:
            count = connection.execute(held.with_for_update()).scalar_one_or_none()
            if count != seen_count:
                return None
            made = tuple(job for job in jobs if self._add_job(connection, job))
            for job in jobs:
                self._supersede_jobs(connection, job, now)
            connection.execute(
                update(SERIES).where(SERIES.c.series_instance_uid == uid).values(values)
            )
            append(connection, now, uid, f"series.{state}", f"{seen_count} instances")
        return Recorded(made)

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

    def result_before(self, job_id: str, series_uid: str, model_id: str) -> Replaced | None:
        """The newest other result for that series and model that has ever reached a destination.

        Fewer slices, or another version of the model, made it.
        """
        query = (
            select(JOBS)
            .where(
                JOBS.c.series_instance_uid == series_uid,
                JOBS.c.model_id == model_id,
                JOBS.c.job_id != job_id,
                _EVER_SENT,
            )
            .order_by(JOBS.c.created_at.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else self._job(row).as_replaced()
