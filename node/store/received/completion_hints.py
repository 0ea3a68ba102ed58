"""Statements of senders that their series are complete, kept in the history of the series."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from node.domain.identifiers import Uid
from node.domain.series import SeriesState, StoredSeries
from node.store.history import append_event
from node.store.repository import Repository
from node.store.schema import HISTORY, INSTANCES, SERIES

_EVENT = "series.completion_hint"
# Parameters of one query.
_MAX_UIDS = 500


class CompletionHints(Repository):
    """What senders say about the completeness of series."""

    def record_completion_hint(
        self, series_uids: Sequence[Uid], now: datetime, detail: str
    ) -> None:
        """Records that the undecided ones of these series are complete; `detail` says why.

        It applies until the series gets another image.
        """
        with self._database.writing() as connection:
            for uids in _chunks(series_uids):
                undecided = SERIES.c.state == SeriesState.RECEIVING
                query = select(SERIES.c.series_instance_uid).where(
                    SERIES.c.series_instance_uid.in_(uids), undecided
                )
                for (uid,) in connection.execute(query).all():
                    append_event(connection, now, uid, _EVENT, detail)

    def hinted_series(self, series: Sequence[StoredSeries]) -> set[Uid]:
        """Returns those whose sender said that they are complete, and that got no image since."""
        last_received_at = {each.series_instance_uid: each.last_received_at for each in series}
        found = set()
        with self._database.reading() as connection:
            for uids in _chunks(list(last_received_at)):
                query = (
                    select(HISTORY.c.subject, func.max(HISTORY.c.happened_at))
                    .where(HISTORY.c.subject.in_(uids), HISTORY.c.event == _EVENT)
                    .group_by(HISTORY.c.subject)
                )
                found |= {
                    Uid(uid)
                    for uid, hinted_at in connection.execute(query)
                    if hinted_at >= last_received_at[Uid(uid)]
                }
        return found

    def series_wholly_in(self, sop_instance_uids: Sequence[Uid]) -> list[Uid]:
        """Returns the undecided series of which every stored image is among these."""
        with self._database.reading() as connection:
            numbers = _images_by_series(connection, sop_instance_uids)
            found = []
            for uids in _chunks(list(numbers)):
                query = select(SERIES.c.series_instance_uid, SERIES.c.instance_count).where(
                    SERIES.c.series_instance_uid.in_(uids),
                    SERIES.c.state == SeriesState.RECEIVING,
                )
                found += [
                    Uid(uid) for uid, count in connection.execute(query) if numbers[uid] == count
                ]
        return found


def _images_by_series(connection: Connection, sop_instance_uids: Sequence[Uid]) -> Counter[str]:
    numbers = Counter[str]()
    for uids in _chunks(list(dict.fromkeys(sop_instance_uids))):
        query = (
            select(INSTANCES.c.series_instance_uid, func.count())
            .where(INSTANCES.c.sop_instance_uid.in_(uids))
            .group_by(INSTANCES.c.series_instance_uid)
        )
        for uid, number in connection.execute(query):
            numbers[uid] += number
    return numbers


def _chunks(uids: Sequence[Uid] | Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(uids), _MAX_UIDS):
        yield uids[start : start + _MAX_UIDS]
