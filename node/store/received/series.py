"""Series and what was decided about them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update

from node.domain.identifiers import Uid
from node.domain.series import SeriesState, StoredSeries
from node.store.audit import append
from node.store.records import Records
from node.store.schema import SERIES


class SeriesRecords(Records):
    """The series that came in."""

    def get_series(self, uid: str) -> StoredSeries | None:
        """One series, or None where it is unknown."""
        query = select(SERIES).where(SERIES.c.series_instance_uid == uid)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else stored_series(row)

    def list_series(self, limit: int = 100) -> list[StoredSeries]:
        """The series that were heard of last, newest first."""
        query = select(SERIES).order_by(SERIES.c.last_received_at.desc()).limit(limit)
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def series_of_study(self, study_uid: str) -> list[StoredSeries]:
        """The series of one study, the first that came first."""
        query = (
            select(SERIES)
            .where(SERIES.c.study_instance_uid == study_uid)
            .order_by(SERIES.c.first_received_at, SERIES.c.series_instance_uid)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def count_series(self) -> dict[SeriesState, int]:
        """How many series are in each state."""
        query = select(SERIES.c.state, func.count()).group_by(SERIES.c.state)
        with self._database.reading() as connection:
            found = {str(state): int(count) for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in SeriesState}

    def open_series(self) -> list[StoredSeries]:
        """The series still RECEIVING, the longest quiet first."""
        query = (
            select(SERIES)
            .where(SERIES.c.state == SeriesState.RECEIVING)
            .order_by(SERIES.c.last_received_at)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def request_start(self, uid: str, now: datetime) -> bool:
        """Has the series decided at once, without its quiet time; decided ones are decided anew.

        False where the series is unknown.
        """
        change = (
            update(SERIES)
            .where(SERIES.c.series_instance_uid == uid)
            .values(state=SeriesState.RECEIVING, start_requested=True)
        )
        with self._database.writing() as connection:
            known = connection.execute(change).rowcount == 1
            if known:
                append(connection, now, uid, "series.start_requested")
        return known

    def decision_of(self, uid: str) -> str | None:
        """The last decision about the series as JSON; None before the first."""
        query = select(SERIES.c.decision).where(SERIES.c.series_instance_uid == uid)
        with self._database.reading() as connection:
            decision = connection.execute(query).scalar_one_or_none()
        return None if decision is None else str(decision)


def stored_series(row: Row[Any]) -> StoredSeries:
    """A row of the table as the domain sees it."""
    return StoredSeries(
        series_instance_uid=Uid(row.series_instance_uid),
        study_instance_uid=Uid(row.study_instance_uid),
        state=SeriesState(row.state),
        instance_count=row.instance_count,
        origin=row.origin,
        first_received_at=row.first_received_at,
        last_received_at=row.last_received_at,
        start_requested=row.start_requested,
    )
