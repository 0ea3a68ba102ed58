"""Requests to retrieve a series from a peer or a DICOMweb source."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection

from node.domain.identifiers import Uid
from node.store.repository import Repository
from node.store.schema import RETRIEVALS


@dataclass(frozen=True)
class Retrieval:
    """A request to retrieve one series from the configured peer or source named `source`."""

    retrieval_id: int
    source: str
    study_instance_uid: Uid
    series_instance_uid: Uid
    requested_at: datetime
    finished_at: datetime | None
    error: str  # why it failed, or why the last attempt at an open one did; empty after a success
    attempts: int  # failed ones
    next_try_at: (
        datetime | None
    )  # of an open request after a failed attempt; a restart tries at once


class Retrievals(Repository):
    """The retrieval requests, open and finished."""

    def request_retrieval(self, source: str, study_uid: Uid, series_uid: Uid, now: datetime) -> int:
        """Requests a series; returns the id of the new request, or of an open one for it."""
        with self._database.writing() as connection:
            return add_retrieval(connection, source, study_uid, series_uid, now)

    def get_retrieval(self, retrieval_id: int) -> Retrieval | None:
        """Returns one request, or None if the id is unknown."""
        query = select(RETRIEVALS).where(RETRIEVALS.c.retrieval_id == retrieval_id)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _retrieval(row)

    def open_retrievals(self, source: str | None = None) -> list[Retrieval]:
        """Returns the unfinished requests, of all sources or of one, oldest first."""
        query = (
            select(RETRIEVALS)
            .where(RETRIEVALS.c.finished_at.is_(None))
            .order_by(RETRIEVALS.c.requested_at, RETRIEVALS.c.retrieval_id)
        )
        if source is not None:
            query = query.where(RETRIEVALS.c.source == source)
        with self._database.reading() as connection:
            return [_retrieval(row) for row in connection.execute(query)]

    def list_retrievals(self, limit: int = 100) -> list[Retrieval]:
        """Returns the latest requests, newest first."""
        query = select(RETRIEVALS).order_by(RETRIEVALS.c.retrieval_id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_retrieval(row) for row in connection.execute(query)]

    def finish_retrieval(self, retrieval_id: int, now: datetime, error: str = "") -> None:
        """Finishes a request; a non-empty `error` says why it failed."""
        statement = (
            update(RETRIEVALS)
            .where(RETRIEVALS.c.retrieval_id == retrieval_id)
            .values(finished_at=now, error=error, next_try_at=None)
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def postpone_retrieval(self, retrieval_id: int, error: str, next_try_at: datetime) -> None:
        """Records a failed attempt at an open request, and when the next one is due."""
        statement = (
            update(RETRIEVALS)
            .where(RETRIEVALS.c.retrieval_id == retrieval_id, RETRIEVALS.c.finished_at.is_(None))
            .values(attempts=RETRIEVALS.c.attempts + 1, error=error, next_try_at=next_try_at)
        )
        with self._database.writing() as connection:
            connection.execute(statement)


def add_retrieval(
    connection: Connection, source: str, study_uid: Uid, series_uid: Uid, now: datetime
) -> int:
    """Adds a request; returns its id, or that of an open one for the same series."""
    existing = _open_retrieval(connection, source, series_uid)
    if existing is not None:
        return existing
    return add_own_retrieval(connection, source, study_uid, series_uid, now)


def _open_retrieval(connection: Connection, source: str, series_uid: Uid) -> int | None:
    open_request = select(RETRIEVALS.c.retrieval_id).where(
        RETRIEVALS.c.source == source,
        RETRIEVALS.c.series_instance_uid == series_uid,
        RETRIEVALS.c.finished_at.is_(None),
    )
    existing = connection.execute(open_request).scalars().first()
    return None if existing is None else int(existing)


def add_own_retrieval(
    connection: Connection, source: str, study_uid: Uid, series_uid: Uid, now: datetime
) -> int:
    """Adds a request even if one for the same series is open; returns its id.

    Its end is followed by a new decision about the series; that of an open one may be past.
    """
    added = connection.execute(
        RETRIEVALS.insert()
        .values(
            source=source,
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            requested_at=now,
            error="",
            attempts=0,
        )
        .returning(RETRIEVALS.c.retrieval_id)
    )
    return int(added.scalar_one())


def _retrieval(row: Row[Any]) -> Retrieval:
    return Retrieval(
        retrieval_id=row.retrieval_id,
        source=row.source,
        study_instance_uid=Uid(row.study_instance_uid),
        series_instance_uid=Uid(row.series_instance_uid),
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        error=row.error,
        attempts=row.attempts,
        next_try_at=row.next_try_at,
    )
