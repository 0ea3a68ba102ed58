"""Search for series by the index: one page of a list, and the number of series in each state."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.engine import Connection

from node.domain.identifiers import Uid
from node.domain.listing.listed_states import ListedState
from node.store.monitoring.row_counts import Counted, numbers_of
from node.store.received.incomplete import incomplete_in
from node.store.repository import Repository
from node.store.schema import SERIES_INDEX
from node.store.search.query import Cursor, SeriesQuery
from node.store.series_index import states_of

_INDEX = SERIES_INDEX.c
# SQLite limits the number of values in a query.
_BATCH = 1000


@dataclass(frozen=True)
class IndexedSeries:
    """A row of the index; texts are empty where the series has no value or it is not read yet.

    The patient is empty where the site does not let people search for patients.
    """

    series_instance_uid: Uid
    study_instance_uid: Uid
    received_at: datetime  # the first image
    states: frozenset[ListedState]
    modality: str
    series_description: str
    body_part_examined: str
    study_date: str
    accession_number: str
    patient_id: str
    patient_name: str


@dataclass(frozen=True)
class SearchPage:
    """One page of the series that a search finds, newest first, and where other pages begin."""

    rows: tuple[IndexedSeries, ...]
    older: Cursor | None
    newer: Cursor | None


@dataclass(frozen=True)
class SearchCounts:
    """The number of series that a search finds, in all and in sets of states."""

    by_states: Mapping[frozenset[ListedState], int]

    @property
    def total(self) -> int:
        """The number of series."""
        return sum(self.by_states.values())

    def of(self, states: frozenset[ListedState]) -> int:
        """The number of series in at least one of these states."""
        return sum(count for found, count in self.by_states.items() if found & states)


class SeriesSearch(Repository):
    """Searches the index."""

    def search_series(
        self,
        query: SeriesQuery,
        *,
        older_than: Cursor | None = None,
        newer_than: Cursor | None = None,
        limit: int = 50,
    ) -> SearchPage:
        """Returns the newest series that the query finds, or those beside a cursor.

        Where fewer than `limit` are newer than the cursor, it is the first page.

        Raises:
            Rejected: the query asks for a patient, and the site does not let people search for one.
        """
        conditions = query.conditions()
        with self._database.reading() as connection:
            found = _Found(connection, conditions, _any_of_states(connection, query.states))
            if newer_than is not None:
                rows = found.rows_after(newer_than, limit)
                if len(rows) == limit:
                    has_newer = bool(found.rows_after(_cursor(rows[0]), 1))
                    return _page(found, query, rows, older=True, newer=has_newer)
                older_than = None
            rows = found.rows_before(older_than, limit + 1)
            has_newer = bool(rows and older_than and found.rows_after(_cursor(rows[0]), 1))
            return _page(found, query, rows[:limit], older=len(rows) > limit, newer=has_newer)

    def count_found(self, query: SeriesQuery) -> SearchCounts:
        """Returns the number of series that the query finds, whatever their states are.

        Raises:
            Rejected: see `search_series`.
        """
        conditions = query.conditions()
        counting = select(_INDEX.states, func.count()).where(*conditions).group_by(_INDEX.states)
        counts: Counter[frozenset[ListedState]] = Counter()
        with self._database.reading() as connection:
            found = (
                {row[0]: int(row[1]) for row in connection.execute(counting)}
                if conditions
                else numbers_of(connection, Counted.LISTED)
            )
            waiting = [
                row
                for some in _waiting_for_images(connection)
                for row in connection.execute(counting.where(_INDEX.series_instance_uid.in_(some)))
            ]
        for states, count in found.items():
            counts[states_of(states)] += count
        for text, count in waiting:
            counts[states_of(text)] -= count
            counts[states_of(text) | {ListedState.ATTENTION}] += count
        return SearchCounts(counts)

    def accession_numbers(self, series_uids: Collection[str]) -> dict[Uid, str]:
        """Returns the accession number of each of some series; those without one are left out."""
        query = select(_INDEX.series_instance_uid, _INDEX.accession_number).where(
            _INDEX.series_instance_uid.in_(series_uids), _INDEX.accession_number != ""
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {Uid(row.series_instance_uid): row.accession_number for row in rows}

    def count_unindexed(self) -> int:
        """Returns how many series no search finds yet, because an earlier version stored them."""
        query = select(func.count()).where(_INDEX.states == "")
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())


@dataclass(frozen=True)
class _Found:
    """The rows that meet the conditions and one of `states`, of which no two hold for one row.

    Without `states`, those in any state.
    """

    connection: Connection
    conditions: Sequence[ColumnElement[bool]]
    states: Sequence[ColumnElement[bool]] | None

    def rows_before(self, cursor: Cursor | None, limit: int) -> Sequence[Row[Any]]:
        """Returns the newest rows older than the cursor, newest first."""
        older = [] if cursor is None else [cursor.is_before()]
        return self._rows(older, limit, newest_first=True)

    def rows_after(self, cursor: Cursor, limit: int) -> Sequence[Row[Any]]:
        """Returns the oldest rows newer than the cursor, newest first."""
        return self._rows([cursor.is_after()], limit, newest_first=False)[::-1]

    def _rows(
        self, positions: Sequence[ColumnElement[bool]], limit: int, *, newest_first: bool
    ) -> Sequence[Row[Any]]:
        columns = (_INDEX.received_at, _INDEX.series_instance_uid)
        order = [column.desc() if newest_first else column.asc() for column in columns]
        query = select(SERIES_INDEX).where(*self.conditions, *positions).order_by(*order)
        if self.states is None:
            return self.connection.execute(query.limit(limit)).all()
        # One query for each reads its rows from an index.
        found = [
            row
            for state in self.states
            for row in self.connection.execute(query.where(state).limit(limit))
        ]
        found.sort(key=lambda row: (row.received_at, row.series_instance_uid), reverse=newest_first)
        return found[:limit]


def _any_of_states(
    connection: Connection, states: frozenset[ListedState]
) -> list[ColumnElement[bool]] | None:
    """Returns conditions on rows in one of the states; None if any state will do.

    The index does not know which series wait for images: that follows from what others send.
    """
    texts = _states_texts(connection, states)
    if texts is None:
        return None
    in_states = [_INDEX.states == text for text in texts]
    if ListedState.ATTENTION not in states:
        return in_states
    waiting = _waiting_for_images(connection)
    return [
        *in_states,
        *(_INDEX.series_instance_uid.in_(some) & _INDEX.states.not_in(texts) for some in waiting),
    ]


def _waiting_for_images(
    connection: Connection, series_uids: Collection[str] | None = None
) -> list[list[Uid]]:
    """Returns the series that wait for images which nobody sends, in batches for a query.

    They are those of all series, or of those named.
    """
    incomplete = incomplete_in(connection, series_uids)
    waiting = [uid for uid, each in incomplete.items() if each.is_over]
    return [waiting[first : first + _BATCH] for first in range(0, len(waiting), _BATCH)]


def _states_texts(connection: Connection, states: frozenset[ListedState]) -> list[str] | None:
    """Returns the texts of the column that name one of the states; None if any state will do.

    There are few, and each step of the search for the next one reads one entry of the index.
    """
    if not states:
        return None
    found: list[str] = []
    text = connection.execute(select(func.min(_INDEX.states))).scalar_one()
    while text is not None:
        if states_of(text) & states:
            found.append(text)
        following = select(func.min(_INDEX.states)).where(_INDEX.states > text)
        text = connection.execute(following).scalar_one()
    return found


def _page(
    found: _Found, query: SeriesQuery, rows: Sequence[Row[Any]], *, older: bool, newer: bool
) -> SearchPage:
    uids = [row.series_instance_uid for row in rows]
    waiting = {uid for some in _waiting_for_images(found.connection, uids) for uid in some}
    return SearchPage(
        rows=tuple(
            _indexed_series(row, query, waits=row.series_instance_uid in waiting) for row in rows
        ),
        older=_cursor(rows[-1]) if older else None,
        newer=_cursor(rows[0]) if newer else None,
    )


def _cursor(row: Row[Any]) -> Cursor:
    return Cursor(row.received_at, row.series_instance_uid)


def _indexed_series(row: Row[Any], query: SeriesQuery, *, waits: bool) -> IndexedSeries:
    needed = {ListedState.ATTENTION} if waits else frozenset()
    shows_patient = query.searches_patients
    return IndexedSeries(
        series_instance_uid=Uid(row.series_instance_uid),
        study_instance_uid=Uid(row.study_instance_uid),
        received_at=row.received_at,
        states=states_of(row.states) | needed,
        modality=row.modality or "",
        series_description=row.series_description or "",
        body_part_examined=row.body_part_examined or "",
        study_date=row.study_date or "",
        accession_number=row.accession_number or "",
        patient_id=(row.patient_id or "") if shows_patient else "",
        patient_name=(row.patient_name or "") if shows_patient else "",
    )
