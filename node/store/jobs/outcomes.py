"""Series together with their jobs: decisions and outcomes."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, select, update

from node.domain.audit.records import AuditAction, AuditObject, AuditObjectType
from node.domain.incomplete_series import IncompleteSeries
from node.domain.job import Job, JobState, ReplacedResult
from node.domain.job_summary import leading_job
from node.domain.series import SeriesPart, SeriesState, StoredSeries
from node.domain.texts.numbers import instances
from node.routing.rule_matching import Decision
from node.store.audit_trail.trail import append_node_record
from node.store.history import append_event
from node.store.jobs.jobs import Jobs
from node.store.jobs.reruns import requeue_after_deletion
from node.store.received.incomplete import incomplete_in, settle_refused_images
from node.store.received.series import SeriesRepository, stored_series
from node.store.schema import HISTORY, JOBS, SERIES
from node.store.series_index import refresh_index, request_attributes

# A destination has received a result of the job in any run. A rerun resets the delivery rows, so
# only the history shows it.
_EVER_SENT: ColumnElement[bool] = exists().where(
    HISTORY.c.subject == JOBS.c.job_id,
    HISTORY.c.event.in_(["delivery.stored", "delivery.delivered"]),
)


@dataclass(frozen=True)
class SeriesOutcome:
    """A series with its jobs, newest first, and what is known about missing images."""

    series: StoredSeries
    jobs: tuple[Job, ...]
    incomplete: IncompleteSeries | None = None

    @property
    def job(self) -> Job | None:
        """The newest job, or the most urgent of the newest parts; None if there is none."""
        return leading_job(self.jobs)

    @property
    def outcome(self) -> str:
        """The state of `job` if the series is accepted and there is one, else of the series."""
        job = self.job
        if self.series.state is SeriesState.ACCEPTED and job is not None:
            return job.visible_state.value
        return self.series.state.value

    @property
    def reason(self) -> str:
        """Why `job` was refused, parked or postponed, and which images are missing; else empty."""
        missing = "" if self.incomplete is None else self.incomplete.explanation
        return " ".join(text for text in (self._reason_of_job, missing) if text)

    @property
    def _reason_of_job(self) -> str:
        job = self.job
        if job is None or self.outcome == self.series.state.value:
            return ""
        of_part = f"{job.part.title}: " if job.part is not None and job.reason else ""
        return f"{of_part}{job.reason}"


@dataclass(frozen=True)
class RecordedDecision:
    """A stored decision and the jobs that it added."""

    new_jobs: tuple[Job, ...]


class Outcomes(SeriesRepository, Jobs):
    """Decisions about series, and series with the outcome of their jobs."""

    def record_decision(
        self,
        uid: str,
        decision_json: str,
        state: SeriesState,
        now: datetime,
        seen_count: int,
        *,
        jobs: Sequence[Job] = (),
    ) -> RecordedDecision | None:
        """Stores a decision that was made when the series had `seen_count` instances.

        The `jobs` supersede earlier jobs of the series for the same models that have sent nothing.
        Those that exist and gave no result before the images were deleted are queued again.
        Returns None, and changes nothing, if the series has received more instances since. A slow
        worker therefore never undoes a decision of another worker about the more complete series.
        """
        before_query = select(SERIES).where(SERIES.c.series_instance_uid == uid)
        values = {"state": state, "start_requested": False, "decision": decision_json}
        with self._database.writing() as connection:
            row = connection.execute(before_query.with_for_update()).one_or_none()
            if row is None or row.instance_count != seen_count:
                return None
            before = stored_series(row)
            append_event(connection, now, uid, f"series.{state}", instances(seen_count))
            new_jobs = tuple(job for job in jobs if self._add_job(connection, job))
            kept = [job.job_id for job in jobs]
            requeue_after_deletion(connection, uid, kept, now)
            for job in {job.model_id: job for job in jobs}.values():
                self._supersede_jobs(connection, job, kept, now)
            connection.execute(
                update(SERIES).where(SERIES.c.series_instance_uid == uid).values(values)
            )
            refresh_index(self._database, connection, [uid])
            request_attributes(connection, uid)
            settle_refused_images(connection, uid, now, started_by_hand=before.start_requested)
            if before.state is SeriesState.RECEIVING:
                self._audit_received(connection, before, now)
        return RecordedDecision(new_jobs)

    def _audit_received(self, connection: Connection, series: StoredSeries, now: datetime) -> None:
        """Records once for a complete series what PS3.15 records as transferred instances."""
        objects = (
            AuditObject(AuditObjectType.STUDY, series.study_instance_uid),
            AuditObject(AuditObjectType.SERIES, series.series_instance_uid),
        )
        text = f"{instances(series.instance_count)}, first by {series.origin}"
        action = AuditAction.RECEIVED
        append_node_record(self._database, connection, now, action, objects, detail=text)

    def outcomes_of(self, series_uids: Sequence[str]) -> list[SeriesOutcome]:
        """Returns the series with their jobs, in the order of `series_uids`."""
        series_query = select(SERIES).where(SERIES.c.series_instance_uid.in_(series_uids))
        query = (
            select(JOBS)
            .where(JOBS.c.series_instance_uid.in_(series_uids))
            .order_by(JOBS.c.created_at.desc(), JOBS.c.job_id)
        )
        jobs: dict[str, list[Job]] = defaultdict(list)
        with self._database.reading() as connection:
            found = {
                row.series_instance_uid: stored_series(row)
                for row in connection.execute(series_query)
            }
            for row in connection.execute(query):
                jobs[row.series_instance_uid].append(self._job(row))
            missing = incomplete_in(connection, series_uids)
        return [
            SeriesOutcome(series, tuple(jobs[uid]), missing.get(series.series_instance_uid))
            for uid in series_uids
            if (series := found.get(uid)) is not None
        ]

    def previous_result(
        self,
        job_id: str,
        series_uid: str,
        model_id: str,
        part: SeriesPart | None = None,
        rules: Collection[str] = (),
    ) -> ReplacedResult | None:
        """Returns the newest other result that reached a destination and that the job replaces.

        It is for the same model and the same part of the series, or the same images, and was
        computed from fewer slices or by another version of the model. A result that other rules
        than the job's `rules` have from another version, which they select, is not replaced.
        """
        query = (
            select(JOBS)
            .where(
                JOBS.c.series_instance_uid == series_uid,
                JOBS.c.model_id == model_id,
                JOBS.c.job_id != job_id,
                JOBS.c.state != JobState.REFUSED,  # it sent a notice at most
                _EVER_SENT,
            )
            .order_by(JOBS.c.created_at.desc())
        )
        with self._database.reading() as connection:
            earlier = [self._job(row) for row in connection.execute(query)]
        decision = self.decision_of(series_uid)
        beside = _selected_by_others(decision, rules) if decision and rules else ()
        return next(
            (
                job.as_replaced()
                for job in earlier
                if _is_replaced(job, part) and job.model_reference not in beside
            ),
            None,
        )


def _selected_by_others(decision: str, rules: Collection[str]) -> set[str]:
    """Returns the models, with version, that matching rules other than these select."""
    matches = Decision.from_json(decision).matches
    return {m.model for m in matches if m.matched and m.rule not in rules}


def _is_replaced(earlier: Job, part: SeriesPart | None) -> bool:
    """Whether a result of that part, or of the whole series if None, replaces an earlier one.

    A part also replaces the result of the same images from before the series had parts.
    """
    if part is None or earlier.part is None:
        return earlier.part is None and (part is None or earlier.series_digest == part.digest)
    return earlier.part.key == part.key or earlier.part.digest == part.digest
