"""Which images and results need not be kept any longer, and forgetting them."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, select, update

from node.domain.job import JobState, is_final
from node.domain.series import SeriesState, StoredSeries
from node.store.audit import append
from node.store.received.series import stored_series
from node.store.records import Records
from node.store.schema import INSTANCES, JOBS, SERIES

_UNFINISHED = [state for state in JobState if not is_final(state)]
# Nothing of it is waited for: decided, and every job of it at its end. What is parked waits for a
# person, and stays.
_FINISHED: ColumnElement[bool] = SERIES.c.state.in_(
    [SeriesState.IGNORED, SeriesState.ACCEPTED]
) & ~exists().where(
    JOBS.c.series_instance_uid == SERIES.c.series_instance_uid, JOBS.c.state.in_(_UNFINISHED)
)


class Clearing(Records):
    """Series whose files can go; what was decided and done about them stays known."""

    def clearable_series(self, before: datetime, limit: int = 100) -> list[StoredSeries]:
        """Finished series with images, of which the last came before that time; oldest first."""
        query = (
            select(SERIES)
            .where(_FINISHED, SERIES.c.instance_count > 0, SERIES.c.last_received_at < before)
            .order_by(SERIES.c.last_received_at)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def clear_series(self, uid: str, now: datetime) -> bool:
        """Forgets the images and results of a finished series, and removes their files.

        False, and nothing changed, when it is not finished (any more). The files go before the
        change is kept, and while nothing can be added to the series: whoever adds an instance
        finds its file gone, or the series in use again.
        """
        held = select(SERIES.c.instance_count).where(SERIES.c.series_instance_uid == uid)
        images = select(INSTANCES.c.path).where(INSTANCES.c.series_instance_uid == uid)
        results = select(JOBS.c.result_path, JOBS.c.picture_path).where(
            JOBS.c.series_instance_uid == uid
        )
        with self._database.writing() as connection:
            # Locked first, then looked at: on PostgreSQL another transaction may be adding to it.
            connection.execute(held.with_for_update()).first()
            count = connection.execute(held.where(_FINISHED)).scalar_one_or_none()
            if count is None:
                return False
            kept = [row.path for row in connection.execute(images)]
            kept += [path for row in connection.execute(results) for path in row if path]
            self.files.remove([self.data_dir / path for path in kept])
            connection.execute(delete(INSTANCES).where(INSTANCES.c.series_instance_uid == uid))
            connection.execute(
                update(SERIES).where(SERIES.c.series_instance_uid == uid).values(instance_count=0)
            )
            connection.execute(
                update(JOBS)
                .where(JOBS.c.series_instance_uid == uid)
                .values(result_path=None, picture_path=None)
            )
            append(connection, now, uid, "series.cleared", f"{count} instances")
        return True
