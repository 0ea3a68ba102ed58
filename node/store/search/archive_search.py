"""Candidates of a DICOMweb search: series, studies and jobs with results, narrowed by the index."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from node.domain.job import Job, JobState
from node.domain.series import StoredSeries
from node.store.jobs.jobs import Jobs
from node.store.received.series import stored_series
from node.store.schema import HAS_SEVERAL_VALUES, INSTANCES, JOBS, SERIES, SERIES_INDEX
from node.store.series_index import searchable

_INDEX = SERIES_INDEX.c
# Most searches need few rows. The pages of one that needs more become longer.
_FIRST_PAGE_SIZE = 64
_MAX_PAGE_SIZE = 2_048
_GROUP_SIZE = 500
_SEVERAL_VALUES = "\\"
_HAS_SEVERAL_VALUES: ColumnElement[Any] = literal_column(HAS_SEVERAL_VALUES)
_DATE_LENGTH = 8
_SHORT_PERIOD = timedelta(days=8)


@dataclass(frozen=True)
class Narrowing:
    """Values that candidates must have; empty ones do not count.

    `*` and `?` are wildcards. `study_date` may be a range. Series whose attributes are not in the
    index stay candidates, and so may some others: the files decide.
    """

    study_date: str = ""
    accession_number: str = ""
    patient_id: str = ""
    patient_name: str = ""
    modality: str = ""
    series_description: str = ""
    body_part_examined: str = ""

    @property
    def is_selective(self) -> bool:
        """Whether few series have the values, whatever the size of the archive."""
        exact = (self.accession_number, self.patient_id)
        return any(value and not _has_wildcard(value) for value in exact) or _is_short_period(
            self.study_date
        )

    def of_study(self) -> list[ColumnElement[bool]]:
        """The alternatives for a candidate: what the series of a study share, and its results."""
        return self._alternatives([])

    def of_series(self) -> list[ColumnElement[bool]]:
        """The alternatives for a received series."""
        return self._alternatives(
            [
                *self._if_given(_INDEX.modality, self.modality, _text),
                *self._if_given(_INDEX.series_description, self.series_description, _text),
                *self._if_given(_INDEX.body_part_examined, self.body_part_examined, _text),
            ]
        )

    def _alternatives(self, of_series: list[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
        """Returns conditions of which one must hold, each served by an index; none for no value."""
        patient = [
            *self._if_given(_INDEX.patient_id, self.patient_id, _text),
            *self._if_given(_INDEX.patient_search_text, self.patient_name, _name),
        ]
        others = [
            *of_series,
            *self._if_given(_INDEX.study_date, self.study_date, _date),
            *self._if_given(_INDEX.accession_number, self.accession_number, _text),
        ]
        if not patient and not others:
            return []
        alternatives = [_INDEX.attributes_read.is_(False), and_(*patient, *others)]
        if patient:
            alternatives.append(and_(_INDEX.patient_id.is_(None), *others))
        if self.is_selective:
            alternatives.append(_HAS_SEVERAL_VALUES)
        return alternatives

    def _if_given(
        self,
        column: ColumnElement[str | None],
        value: str,
        condition: Callable[[ColumnElement[str | None], str], ColumnElement[bool]],
    ) -> list[ColumnElement[bool]]:
        """Returns the condition, unless there is no value.

        Several values in a column meet each condition. An index finds them apart; where all rows
        are read, the column itself is cheaper.
        """
        if not value:
            return []
        is_met = condition(column, value)
        if self.is_selective:
            return [is_met]
        return [is_met | column.contains(_SEVERAL_VALUES, autoescape=True)]


class ArchiveSearch(Jobs):
    """Yields candidates page by page, so that a search reads no more than its results need."""

    def candidate_series(
        self, narrowing: Narrowing, skip: int = 0, *, with_instances: bool = False
    ) -> Iterator[StoredSeries]:
        """Yields received series without the first `skip`, the last received first.

        `with_instances` leaves out those whose instances the retention has deleted.
        """
        order = (SERIES.c.first_received_at, SERIES.c.series_instance_uid)
        query = _narrowed(select(SERIES), narrowing, narrowing.of_series())
        if with_instances:
            query = query.where(
                exists().where(INSTANCES.c.series_instance_uid == SERIES.c.series_instance_uid)
            )
        yield from (stored_series(row) for row in self._pages(query, order, skip))

    def count_candidate_series(self, narrowing: Narrowing) -> int:
        """Returns the number of these series."""
        all_series = select(func.count()).select_from(SERIES)
        query = _narrowed(all_series, narrowing, narrowing.of_series())
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def candidate_studies(self, narrowing: Narrowing) -> Iterator[str]:
        """Yields the UIDs of studies, that of the last received series first."""
        order = (SERIES.c.first_received_at, SERIES.c.series_instance_uid)
        query = select(SERIES.c.study_instance_uid, *order)
        seen: set[str] = set()
        narrowed = _narrowed(query, narrowing, narrowing.of_study())
        for row in self._pages(narrowed, order):
            if row.study_instance_uid not in seen:
                seen.add(row.study_instance_uid)
                yield row.study_instance_uid

    def candidate_jobs(
        self, narrowing: Narrowing, states: Sequence[JobState]
    ) -> Iterator[list[Job]]:
        """Yields jobs in these states that have a result, the last created first, in groups."""
        order = (JOBS.c.created_at, JOBS.c.job_id)
        query = select(JOBS).where(JOBS.c.result_path.is_not(None))
        alternatives = narrowing.of_study()
        if narrowing.is_selective:
            query = query.where(JOBS.c.series_instance_uid.in_(_uids(alternatives)))
        else:
            # Not above: SQLite would read all jobs in these states instead of those of the series.
            query = query.where(JOBS.c.state.in_(states))
            if alternatives:
                is_candidate = _INDEX.series_instance_uid == JOBS.c.series_instance_uid
                query = query.where(exists().where(is_candidate, or_(*alternatives)))
        group: list[Job] = []
        for row in self._pages(query, order):
            if row.state in states:
                group.append(self._job(row))
            if len(group) == _GROUP_SIZE:
                yield group
                group = []
        if group:
            yield group

    def received_among(self, series_uids: Sequence[str]) -> frozenset[str]:
        """Returns those of the series that were received."""
        query = select(SERIES.c.series_instance_uid).where(
            SERIES.c.series_instance_uid.in_(series_uids)
        )
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def _pages(
        self,
        query: Select[Any],
        order: tuple[ColumnElement[datetime], ColumnElement[str]],
        skip: int = 0,
    ) -> Iterator[Row[Any]]:
        """Yields the rows, last first; each page is a short transaction of its own."""
        moment, key = order
        ordered = query.order_by(moment.desc(), key.desc())
        page, size = ordered.offset(skip), _FIRST_PAGE_SIZE
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page.limit(size)).all()
            yield from rows
            if len(rows) < size:
                return
            last = rows[-1]._mapping
            position = tuple_(moment, key) < tuple_(last[moment], last[key])
            page, size = ordered.where(position), min(2 * size, _MAX_PAGE_SIZE)


def _narrowed(
    query: Select[Any], narrowing: Narrowing, alternatives: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """Returns the query with the series for which one of the alternatives holds.

    Where there are few, the index finds them, and they are put in order. Otherwise the series are
    read in their order until a page is full.
    """
    if not alternatives:
        return query
    if narrowing.is_selective:
        return query.where(SERIES.c.series_instance_uid.in_(_uids(alternatives)))
    of_series = _INDEX.series_instance_uid == SERIES.c.series_instance_uid
    return query.join(SERIES_INDEX, of_series).where(or_(*alternatives))


def _uids(alternatives: Sequence[ColumnElement[bool]]) -> CompoundSelect[tuple[str]]:
    """Returns a query for each alternative, because an index serves no OR."""
    return union_all(*(select(_INDEX.series_instance_uid).where(one) for one in alternatives))


def _text(column: ColumnElement[str | None], pattern: str) -> ColumnElement[bool]:
    if not _has_wildcard(pattern):
        return column == pattern
    escaped = pattern.replace("/", "//").replace("%", "/%").replace("_", "/_")
    like = escaped.replace("*", "%").replace("?", "_")
    return column.like(like, escape="/")


def _has_wildcard(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _date(column: ColumnElement[str | None], value: str) -> ColumnElement[bool]:
    first, _, last = value.partition("-")
    if value.count("-") != 1:
        return _text(column, value)
    after = column >= first
    before = func.substr(column, 1, len(last)) <= last
    if not last:
        return after
    # The end of the index range: no date is longer than eight digits.
    return and_(after, before, column <= last.ljust(_DATE_LENGTH, "9"))


def _is_short_period(value: str) -> bool:
    """Whether the value is one day, or the first and last day of a week or less."""
    first, _, last = value.partition("-")
    try:
        days = [date.fromisoformat(day) for day in (first, last or first)]
    except ValueError:
        return False
    return value != f"{first}-" and days[1] - days[0] < _SHORT_PERIOD


def _name(column: ColumnElement[str | None], pattern: str) -> ColumnElement[bool]:
    """Matches names that have the words of the pattern in their order, and some others."""
    for separator in "^=,*?":
        pattern = pattern.replace(separator, " ")
    escaped = searchable(pattern).replace("/", "//").replace("%", "/%").replace("_", "/_")
    like = f"%{escaped.replace(' ', '%')}%"
    return column.like(like, escape="/")
