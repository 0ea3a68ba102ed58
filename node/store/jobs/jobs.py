"""Jobs and their state changes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, update
from sqlalchemy.engine import Connection

from node.domain.delivery import DeliveryState
from node.domain.findings import Finding
from node.domain.job import HELD, Job, JobState, can_transition
from node.domain.queues.discarding import Discarding
from node.domain.texts.numbers import instances
from node.store.history import append_event
from node.store.jobs.deliveries import IS_DISCARDED
from node.store.jobs.job_rows import HAS_NOTICE, JobRows, has_visible_state
from node.store.monitoring.row_counts import Counted, numbers_of
from node.store.schema import DELIVERIES, HISTORY, JOBS
from node.store.series_index import refresh_index


class IllegalChange(Exception):
    """The state of the job does not allow the change."""


class UnknownJob(Exception):
    """No job has this id."""


# A destination has received the result of the current run.
_SENT: ColumnElement[bool] = exists().where(
    DELIVERIES.c.job_id == JOBS.c.job_id,
    DELIVERIES.c.state.in_([DeliveryState.COMMITTING, DeliveryState.DELIVERED]),
    not_(IS_DISCARDED),
)


class Jobs(JobRows):
    """The jobs; every state change is checked against the allowed ones."""

    def add_job(self, job: Job) -> bool:
        """Adds a job; returns False, and changes nothing, if the job id exists."""
        with self._database.writing() as connection:
            added = self._add_job(connection, job)
            refresh_index(self._database, connection, [job.series_instance_uid])
        return added

    def get_job(self, job_id: str) -> Job | None:
        """Returns one job, or None if the id is unknown."""
        with self._database.reading() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.job_id == job_id)).first()
        return None if row is None else self._job(row)

    def list_jobs(
        self,
        limit: int = 100,
        states: Collection[JobState] | None = None,
        series_uid: str | None = None,
        visible_states: Collection[JobState] | None = None,
    ) -> list[Job]:
        """Returns the latest jobs, newest first; optionally only of some states or one series.

        `visible_states` are those that people see.
        """
        query = select(JOBS).order_by(JOBS.c.created_at.desc(), JOBS.c.job_id).limit(limit)
        if states is not None:
            query = query.where(JOBS.c.state.in_(list(states)))
        if visible_states is not None:
            query = query.where(or_(false(), *map(has_visible_state, visible_states)))
        if series_uid is not None:
            query = query.where(JOBS.c.series_instance_uid == series_uid)
        with self._database.reading() as connection:
            return [self._job(row) for row in connection.execute(query)]

    def jobs_of(self, series_uid: str) -> tuple[Job, ...]:
        """Returns every job of a series, oldest first."""
        query = (
            select(JOBS)
            .where(JOBS.c.series_instance_uid == series_uid)
            .order_by(JOBS.c.created_at, JOBS.c.job_id)
        )
        with self._database.reading() as connection:
            return tuple(self._job(row) for row in connection.execute(query))

    def count_jobs(self) -> dict[JobState, int]:
        """Returns the number of jobs in each state that people see; see `Job.visible_state`."""
        notices = select(func.count()).where(JOBS.c.state == JobState.DELIVERING, HAS_NOTICE)
        with self._database.reading() as connection:
            found = numbers_of(connection, Counted.JOBS)
            notified = connection.execute(notices).scalar_one()
        counts = {state: found.get(state, 0) for state in JobState}
        counts[JobState.DELIVERING] -= notified
        counts[JobState.REFUSED] += notified
        return counts

    def queued_jobs(self) -> list[tuple[Job, int]]:
        """Returns the QUEUED jobs, oldest first, each with its current run number."""
        query = select(JOBS).where(JOBS.c.state == JobState.QUEUED).order_by(JOBS.c.created_at)
        with self._database.reading() as connection:
            return [(self._job(row), row.run_number) for row in connection.execute(query)]

    def change_job(
        self,
        job_id: str,
        state: JobState,
        now: datetime,
        *,
        reason: str | None = None,
        timings_s: Mapping[str, float] | None = None,
        measurements: Mapping[str, Mapping[str, float | bool]] | None = None,
        findings: Sequence[Finding] | None = None,
        result_path: Path | None = None,
        picture_path: Path | None = None,
        when_settled: bool = False,
    ) -> Job:
        """Changes the state of a job; arguments that are None leave their column unchanged.

        Raises:
            UnknownJob: no job has this id.
            IllegalChange: the current state of the job does not allow it, or with `when_settled`
                a delivery of it waits.
        """
        values: dict[str, object] = {"state": state, "updated_at": now}
        given = {
            "reason": reason,
            "timings_s": None if timings_s is None else dict(timings_s),
            "measurements": None
            if measurements is None
            else {label: dict(values) for label, values in measurements.items()},
            "findings": None if findings is None else [asdict(each) for each in findings],
            "result_path": self._to_row(result_path),
            "picture_path": self._to_row(picture_path),
        }
        values.update({name: value for name, value in given.items() if value is not None})
        if state is JobState.RUNNING:
            values["analysed_at"] = None  # of an earlier attempt
        with self._database.writing() as connection:
            if when_settled:
                self._require_settled(connection, job_id)
            job = self._change_job(connection, job_id, values, now)
            refresh_index(self._database, connection, [job.series_instance_uid])
        return job

    def retry_job(self, job_id: str, now: datetime) -> Job:
        """Requeues a PARKED job under a new run number and makes its parked deliveries due now.

        Raises:
            UnknownJob: no job has this id.
            IllegalChange: the job is not PARKED.
        """
        values: dict[str, object] = {
            "state": JobState.QUEUED,
            "updated_at": now,
            "reason": "",
            "run_number": JOBS.c.run_number + 1,
        }
        due_again = (
            update(DELIVERIES)
            .where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.state == DeliveryState.PARKED)
            .values(state=DeliveryState.WAITING, waiting_since=now, next_try_at=now)
        )
        with self._database.writing() as connection:
            job = self._change_job(connection, job_id, values, now)
            connection.execute(due_again)
            refresh_index(self._database, connection, [job.series_instance_uid])
        return job

    def discard_job(self, job_id: str, discarding: Discarding, now: datetime) -> Job:
        """Discards a PARKED job; the job and its history keep the reason and the user.

        Raises:
            UnknownJob: no job has this id.
            IllegalChange: the job is not PARKED.
        """
        return self.change_job(job_id, JobState.DISCARDED, now, reason=str(discarding))

    def was_held(self, job_id: str) -> bool:
        """Whether the result has waited for a person because of its findings, now or earlier."""
        query = select(HISTORY.c.event_id).where(
            HISTORY.c.subject == job_id, HISTORY.c.detail.startswith(HELD, autoescape=True)
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def run_number(self, job_id: str) -> int:
        """Returns the number of the current run: 1, plus one for each retry by a person.

        Raises:
            UnknownJob: no job has this id.
        """
        query = select(JOBS.c.run_number).where(JOBS.c.job_id == job_id)
        with self._database.reading() as connection:
            number = connection.execute(query).scalar_one_or_none()
        if number is None:
            raise UnknownJob(f"there is no job {job_id}")
        return int(number)

    def _add_job(self, connection: Connection, job: Job) -> bool:
        row = self._job_row(job) | {"turn": self._turn(connection, job)}
        added = connection.execute(
            self._database.insert(JOBS)
            .values(row)
            .on_conflict_do_nothing()
            .returning(JOBS.c.job_id)
        ).first()
        if added is None:
            return False
        detail = f"{instances(job.instance_count)}, {job.model_id} {job.model_version}"
        if job.part is not None:
            detail = f"{job.part.title}: {detail}"
        append_event(connection, job.updated_at, job.job_id, f"job.{job.state}", detail)
        return True

    def _turn(self, connection: Connection, job: Job) -> int:
        """Returns the turn of a new job, by which sources are served in rotation.

        It is one after the last queued job of the same source, but not before the first of all
        queued jobs: a source that sends little is served soon, and saves up no credit.
        """
        same_priority = JOBS.c.priority == job.priority
        queued = and_(same_priority, JOBS.c.state == JobState.QUEUED)
        first_turn = func.coalesce(
            select(func.min(JOBS.c.turn)).where(queued).scalar_subquery(),
            select(func.max(JOBS.c.turn)).where(same_priority).scalar_subquery(),
            0,
        )
        last_of_source = select(func.max(JOBS.c.turn)).where(queued, JOBS.c.source == job.source)
        first, own = connection.execute(select(first_turn, last_of_source.scalar_subquery())).one()
        return int(first) if own is None else max(int(first), int(own) + 1)

    def _supersede_jobs(
        self, connection: Connection, newest: Job, kept: Collection[str], now: datetime
    ) -> None:
        """Supersedes the other jobs for the same series and model that have sent nothing.

        These are jobs that are QUEUED, RUNNING, or DELIVERING with no destination reached. Those in
        `kept`, the jobs of the same decision, stay: they are about other parts of the series.
        """
        unsent = select(JOBS.c.job_id).where(
            JOBS.c.series_instance_uid == newest.series_instance_uid,
            JOBS.c.model_id == newest.model_id,
            JOBS.c.job_id.not_in(kept),
            JOBS.c.state.in_([JobState.QUEUED, JobState.RUNNING, JobState.DELIVERING]),
            ~_SENT,
        )
        values: dict[str, object] = {
            "state": JobState.SUPERSEDED,
            "updated_at": now,
            "reason": "superseded by a newer job with more images or another model version",
        }
        for job_id in connection.execute(unsent.order_by(JOBS.c.job_id)).scalars().all():
            self._change_job(connection, job_id, values, now)

    def _require_settled(self, connection: Connection, job_id: str) -> None:
        """Refuses a job with a delivery that waits; a person may have retried one just now."""
        job = select(JOBS.c.job_id).where(JOBS.c.job_id == job_id).with_for_update()
        connection.execute(job)  # a retry locks the job first
        waiting = select(DELIVERIES.c.job_id).where(
            DELIVERIES.c.job_id == job_id,
            DELIVERIES.c.state.in_([DeliveryState.WAITING, DeliveryState.COMMITTING]),
        )
        if connection.execute(waiting).first() is not None:
            raise IllegalChange(f"a delivery of job {job_id} waits")

    def _change_job(
        self, connection: Connection, job_id: str, values: dict[str, object], now: datetime
    ) -> Job:
        new_state = JobState(str(values["state"]))
        query = select(JOBS.c.state).where(JOBS.c.job_id == job_id).with_for_update()
        state = connection.execute(query).scalar_one_or_none()
        if state is None:
            raise UnknownJob(f"there is no job {job_id}")
        if not can_transition(JobState(state), new_state):
            raise IllegalChange(f"job {job_id} is {state} and cannot become {new_state}")
        row = connection.execute(
            update(JOBS).where(JOBS.c.job_id == job_id).values(values).returning(JOBS)
        ).one()
        append_event(connection, now, job_id, f"job.{new_state}", str(values.get("reason", "")))
        return self._job(row)
