"""Received series and the decisions about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update

from node.domain.identifiers import Uid
from node.domain.series import SeriesState, StoredSeries
from node.store.history import append_event
from node.store.monitoring.row_counts import Counted, numbers_of
from node.store.repository import Repository
from node.store.schema import SERIES
from node.store.series_index import refresh_index


class SeriesRepository(Repository):
    """The received series."""

    def get_series(self, uid: str) -> StoredSeries | None:
        """Returns one series, or None if it is unknown."""
        query = select(SERIES).where(SERIES.c.series_instance_uid == uid)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else stored_series(row)

    def series_received_since(self, since: datetime, limit: int) -> list[StoredSeries]:
        """Returns the series whose last image arrived at `since` or later, newest first."""
        query = (
            select(SERIES)
            .where(SERIES.c.last_received_at >= since)
            .order_by(SERIES.c.last_received_at.desc(), SERIES.c.series_instance_uid)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def count_series_received_since(self, since: datetime) -> int:
        """Returns the number of series whose last image arrived at `since` or later."""
        received = SERIES.c.last_received_at >= since
        query = select(func.count()).select_from(SERIES).where(received)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def series_of_studies(self, study_uids: Sequence[str]) -> list[StoredSeries]:
        """Returns the series of these studies, first received first."""
        query = (
            select(SERIES)
            .where(SERIES.c.study_instance_uid.in_(study_uids))
            .order_by(SERIES.c.first_received_at, SERIES.c.series_instance_uid)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def count_series(self) -> dict[SeriesState, int]:
        """Returns the number of series in each state."""
        with self._database.reading() as connection:
            found = numbers_of(connection, Counted.SERIES)
        return {state: found.get(state, 0) for state in SeriesState}

    def open_series(self) -> list[StoredSeries]:
        """Returns the series in state RECEIVING, longest quiet first."""
        query = (
            select(SERIES)
            .where(SERIES.c.state == SeriesState.RECEIVING)
            .order_by(SERIES.c.last_received_at)
        )
        with self._database.reading() as connection:
            return [stored_series(row) for row in connection.execute(query)]

    def request_start(self, uid: str, now: datetime) -> bool:
        """Requests a decision at once, without the quiet time; also for a decided series.

        Returns False if the series is unknown.
        """
        statement = (
            update(SERIES)
            .where(SERIES.c.series_instance_uid == uid)
            .values(state=SeriesState.RECEIVING, start_requested=True)
        )
        with self._database.writing() as connection:
            known = connection.execute(statement).rowcount == 1
            if known:
                append_event(connection, now, uid, "series.start_requested")
                refresh_index(self._database, connection, [uid])
        return known

    def decision_of(self, uid: str) -> str | None:
        """Returns the last decision about the series as JSON; None before the first."""
        query = select(SERIES.c.decision).where(SERIES.c.series_instance_uid == uid)
        with self._database.reading() as connection:
            decision = connection.execute(query).scalar_one_or_none()
        return None if decision is None else str(decision)


def stored_series(row: Row[Any]) -> StoredSeries:
    """Converts a row of the table."""
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
