"""Deletion of the images and results of finished series."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    delete,
    exists,
    literal_column,
    select,
    update,
)

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.identifiers import Uid
from node.domain.job import JobState, is_final
from node.domain.series import Deletion, SeriesState, StoredSeries
from node.domain.texts.numbers import instances
from node.store.audit_trail.trail import append_record
from node.store.evaluation.shadow_runs import remove_shadow_results
from node.store.history import append_event
from node.store.jobs.result_objects import remove_results
from node.store.received.incomplete import incomplete_in
from node.store.received.series import stored_series
from node.store.received.tables import REFUSED_IMAGES
from node.store.repository import Repository
from node.store.schema import INSTANCES, JOBS, SERIES
from node.store.series_index import forget_patient, refresh_index

# A sender that has sent an image within this time may be sending the next one.
_ARRIVING = timedelta(minutes=1)
_UNFINISHED = [state for state in JobState if not is_final(state)]
_IS_WORKED_ON: ColumnElement[bool] = exists().where(
    JOBS.c.series_instance_uid == SERIES.c.series_instance_uid, JOBS.c.state.in_(_UNFINISHED)
)
# A finished series is decided and all its jobs are final. A parked job waits for a person, so its
# series is not finished. Not by a list of states: SQLite would find the series by these, and read
# all that have no images any more.
_FINISHED: ColumnElement[bool] = (SERIES.c.state != SeriesState.RECEIVING) & ~_IS_WORKED_ON
# A number in the text of the query, so that it fits the condition of the index.
_HAS_IMAGES = SERIES.c.instance_count > literal_column("0")


class Cleanup(Repository):
    """Finds and clears series whose files can go; the decision and the jobs stay recorded.

    The search index forgets the patient.
    """

    def clearable_series(self, before: datetime, limit: int = 100) -> list[StoredSeries]:
        """Returns finished series whose last image arrived before `before`, oldest first."""
        query = (
            select(SERIES)
            .where(_FINISHED, _HAS_IMAGES, SERIES.c.last_received_at < before)
            .order_by(SERIES.c.last_received_at)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def clear_series(self, uid: str, now: datetime) -> bool:
        """Deletes the images and results of a finished series because retention is over.

        Returns False, and changes nothing, if the series is not finished (any more).
        """
        by_retention = AuditActor("segnode", AuditInterface.NODE)
        with self._database.writing() as connection:
            # Lock first, then read: on PostgreSQL another transaction may be adding an instance.
            row = _locked(connection, uid)
            if row is None or not _is_finished(connection, uid):
                return False
            self._delete(connection, row, now, event="series.cleared", actor=by_retention)
        return True

    def delete_series(self, uid: str, now: datetime, *, by: AuditActor, reason: str) -> Deletion:
        """Deletes the images and results of a series because a person wants it.

        The series is finished, or waits for images that nobody sends. Returns what came of it;
        changes nothing unless that is DELETED.
        """
        with self._database.writing() as connection:
            row = _locked(connection, uid)
            if row is None or row.instance_count == 0:
                return Deletion.NOTHING_STORED
            if not _is_finished(connection, uid):
                if not _is_abandoned(connection, row):
                    return Deletion.UNFINISHED
                if now - row.last_received_at < _ARRIVING:
                    return Deletion.ARRIVING
            detail = f", by {by.name}: {reason}"
            self._delete(connection, row, now, event="series.deleted", actor=by, detail=detail)
            self._end_undecided(connection, row)
        return Deletion.DELETED

    def _delete(
        self,
        connection: Connection,
        series: Row[Any],
        now: datetime,
        *,
        event: str,
        actor: AuditActor,
        detail: str = "",
    ) -> None:
        """Deletes rows and files; records the event with the number of images and the detail.

        The files are deleted before the transaction commits and while no instance can be added to
        the series: a later writer finds its file missing, or the series in use again.
        """
        uid = series.series_instance_uid
        images = select(INSTANCES.c.path).where(INSTANCES.c.series_instance_uid == uid)
        stored = [self.data_dir / row.path for row in connection.execute(images)]
        of_series = JOBS.c.series_instance_uid == uid
        results = remove_results(connection, self.data_dir, of_series)
        shadows = remove_shadow_results(connection, self.data_dir, uid)
        self.files.remove([*stored, *results, *shadows])
        connection.execute(delete(INSTANCES).where(INSTANCES.c.series_instance_uid == uid))
        of_refused = REFUSED_IMAGES.c.series_instance_uid == uid
        connection.execute(delete(REFUSED_IMAGES).where(of_refused))
        connection.execute(
            update(SERIES).where(SERIES.c.series_instance_uid == uid).values(instance_count=0)
        )
        text = f"{instances(series.instance_count)}{detail}"
        append_event(connection, now, uid, event, text)
        forget_patient(connection, uid)
        objects = (AuditObject(AuditObjectType.SERIES, uid),)
        action, success = AuditAction.DELETED, AuditOutcome.SUCCESS
        record = AuditRecord(now, action, success, actor, objects, text)
        append_record(self._database, connection, record)

    def _end_undecided(self, connection: Connection, series: Row[Any]) -> None:
        """Gives a series that still waited a final state: without images there is no decision."""
        if series.state != SeriesState.RECEIVING:
            return
        uid = series.series_instance_uid
        has_jobs = connection.execute(
            select(exists().where(JOBS.c.series_instance_uid == uid))
        ).scalar_one()
        state = SeriesState.ACCEPTED if has_jobs else SeriesState.DELETED
        connection.execute(
            update(SERIES).where(SERIES.c.series_instance_uid == uid).values(state=state)
        )
        refresh_index(self._database, connection, [uid])


def _locked(connection: Connection, uid: str) -> Row[Any] | None:
    series = select(SERIES).where(SERIES.c.series_instance_uid == uid)
    return connection.execute(series.with_for_update()).one_or_none()


def _is_finished(connection: Connection, uid: str) -> bool:
    finished = select(SERIES.c.series_instance_uid).where(
        SERIES.c.series_instance_uid == uid, _FINISHED
    )
    return connection.execute(finished).first() is not None


def _is_abandoned(connection: Connection, series: Row[Any]) -> bool:
    """Whether an undecided series waits for images that nobody sends, and nothing works on it."""
    uid = series.series_instance_uid
    missing = incomplete_in(connection, [uid]).get(Uid(uid))
    if missing is None or not missing.is_over or series.start_requested:
        return False
    worked_on = select(_IS_WORKED_ON).where(SERIES.c.series_instance_uid == uid)
    return not connection.execute(worked_on).scalar_one()
