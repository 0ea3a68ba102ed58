"""Requests to retrieve a series from a DICOMweb source."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update

from node.domain.identifiers import Uid
from node.store.repository import Repository
from node.store.schema import RETRIEVALS


@dataclass(frozen=True)
class Retrieval:
    """A request to retrieve one series from the configured source named `source`."""

    retrieval_id: int
    source: str
    study_instance_uid: Uid
    series_instance_uid: Uid
    requested_at: datetime
    finished_at: datetime | None
    error: str  # why a finished retrieval failed, in plain words; else empty


class Retrievals(Repository):
    """The retrieval requests, open and finished."""

    def request_retrieval(self, source: str, study_uid: Uid, series_uid: Uid, now: datetime) -> int:
        """Requests a series; returns the id of the new request, or of an open one for it."""
        open_request = select(RETRIEVALS.c.retrieval_id).where(
            RETRIEVALS.c.source == source,
            RETRIEVALS.c.series_instance_uid == series_uid,
            RETRIEVALS.c.finished_at.is_(None),
        )
        with self._database.writing() as connection:
            existing = connection.execute(open_request).scalars().first()
            if existing is not None:
                return int(existing)
            added = connection.execute(
                RETRIEVALS.insert()
                .values(
                    source=source,
                    study_instance_uid=study_uid,
                    series_instance_uid=series_uid,
                    requested_at=now,
                    error="",
                )
                .returning(RETRIEVALS.c.retrieval_id)
            )
            return int(added.scalar_one())

    def get_retrieval(self, retrieval_id: int) -> Retrieval | None:
        """Returns one request, or None if the id is unknown."""
        query = select(RETRIEVALS).where(RETRIEVALS.c.retrieval_id == retrieval_id)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _retrieval(row)

    def open_retrievals(self) -> list[Retrieval]:
        """Returns the unfinished requests, oldest first."""
        query = (
            select(RETRIEVALS)
            .where(RETRIEVALS.c.finished_at.is_(None))
            .order_by(RETRIEVALS.c.requested_at, RETRIEVALS.c.retrieval_id)
        )
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
            .values(finished_at=now, error=error)
        )
        with self._database.writing() as connection:
            connection.execute(statement)


def _retrieval(row: Row[Any]) -> Retrieval:
    return Retrieval(
        retrieval_id=row.retrieval_id,
        source=row.source,
        study_instance_uid=Uid(row.study_instance_uid),
        series_instance_uid=Uid(row.series_instance_uid),
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        error=row.error,
    )
