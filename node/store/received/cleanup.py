"""Deletion of the images and results of finished series."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, literal_column, select, update

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.job import JobState, is_final
from node.domain.series import SeriesState, StoredSeries
from node.domain.texts.numbers import instances
from node.store.audit_trail.trail import append_record
from node.store.evaluation.shadow_runs import remove_shadow_results
from node.store.history import append_event
from node.store.jobs.result_objects import remove_results
from node.store.received.series import stored_series
from node.store.received.tables import REFUSED_IMAGES
from node.store.repository import Repository
from node.store.schema import INSTANCES, JOBS, SERIES
from node.store.series_index import forget_patient

_UNFINISHED = [state for state in JobState if not is_final(state)]
# A finished series is decided and all its jobs are final. A parked job waits for a person, so its
# series is not finished. Not by a list of states: SQLite would find the series by these, and read
# all that have no images any more.
_FINISHED: ColumnElement[bool] = (SERIES.c.state != SeriesState.RECEIVING) & ~exists().where(
    JOBS.c.series_instance_uid == SERIES.c.series_instance_uid, JOBS.c.state.in_(_UNFINISHED)
)
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
        return self._delete(uid, now, "series.cleared", by_retention, "")

    def delete_series(self, uid: str, now: datetime, *, by: AuditActor, reason: str) -> bool:
        """Deletes the images and results of a finished series because a person wants it.

        Returns False, and changes nothing, if the series is not finished.
        """
        return self._delete(uid, now, "series.deleted", by, f", by {by.name}: {reason}")

    def _delete(self, uid: str, now: datetime, event: str, actor: AuditActor, detail: str) -> bool:
        """Deletes rows and files; records the event with the number of images and the detail.

        The files are deleted before the transaction commits and while no instance can be added to
        the series: a later writer finds its file missing, or the series in use again.
        """
        count_query = select(SERIES.c.instance_count).where(SERIES.c.series_instance_uid == uid)
        images = select(INSTANCES.c.path).where(INSTANCES.c.series_instance_uid == uid)
        with self._database.writing() as connection:
            # Lock first, then read: on PostgreSQL another transaction may be adding an instance.
            connection.execute(count_query.with_for_update()).first()
            count = connection.execute(count_query.where(_FINISHED)).scalar_one_or_none()
            if count is None:
                return False
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
            append_event(connection, now, uid, event, f"{instances(count)}{detail}")
            forget_patient(connection, uid)
            series = (AuditObject(AuditObjectType.SERIES, uid),)
            action, success = AuditAction.DELETED, AuditOutcome.SUCCESS
            text = f"{instances(count)}{detail}"
            record = AuditRecord(now, action, success, actor, series, text)
            append_record(self._database, connection, record)
        return True
