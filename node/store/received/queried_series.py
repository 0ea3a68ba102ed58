"""The series that scheduled queries have found, and what was decided about each."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from node.dicom.query import FoundSeries
from node.domain.identifiers import Uid
from node.store.received.retrievals import add_retrieval
from node.store.repository import Repository
from node.store.schema import QUERIED_SERIES


class QueriedSeriesRepository(Repository):
    """One row for each series of a source that was requested, or that the node had already.

    The row outlives the series and its retrieval: a series is decided once for each number of
    images, whatever becomes of it.
    """

    def queried_counts(self, source: str, series_uids: Sequence[Uid]) -> dict[Uid, int | None]:
        """Returns the decided series among `series_uids`, with their number of images then."""
        query = select(QUERIED_SERIES.c.series_instance_uid, QUERIED_SERIES.c.instance_count).where(
            QUERIED_SERIES.c.source == source,
            QUERIED_SERIES.c.series_instance_uid.in_(series_uids),
        )
        with self._database.reading() as connection:
            return {Uid(uid): count for uid, count in connection.execute(query)}

    def record_present_series(self, source: str, found: FoundSeries, now: datetime) -> None:
        """Records that the node has the series already."""
        with self._database.writing() as connection:
            self._record(connection, source, found, None, now)

    def request_queried_series(self, source: str, found: FoundSeries, now: datetime) -> int:
        """Requests the retrieval of the series and records it, at once; returns its id."""
        with self._database.writing() as connection:
            retrieval_id = add_retrieval(
                connection, source, found.study_instance_uid, found.series_instance_uid, now
            )
            self._record(connection, source, found, retrieval_id, now)
        return retrieval_id

    def _record(
        self,
        connection: Connection,
        source: str,
        found: FoundSeries,
        retrieval_id: int | None,
        now: datetime,
    ) -> None:
        decided = {
            "instance_count": found.instance_count,
            "retrieval_id": retrieval_id,
            "decided_at": now,
        }
        statement = self._database.insert(QUERIED_SERIES).values(
            source=source,
            series_instance_uid=found.series_instance_uid,
            study_instance_uid=found.study_instance_uid,
            **decided,
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["source", "series_instance_uid"], set_=decided
            )
        )
