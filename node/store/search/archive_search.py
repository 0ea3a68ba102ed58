"""Candidates of a DICOMweb search: series, studies and jobs with results, narrowed by the index."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, func, or_, select, tuple_

from node.domain.job import Job, JobState
from node.domain.series import StoredSeries
from node.store.jobs.jobs import Jobs
from node.store.received.series import stored_series
from node.store.schema import INSTANCES, JOBS, SERIES, SERIES_INDEX
from node.store.series_index import searchable

_INDEX = SERIES_INDEX.c
_PAGE_SIZE = 500
_STUDY_PAGE_SIZE = 2_000  # of rows with one UID
_SEVERAL_VALUES = "\\"


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

    def of_study(self) -> list[ColumnElement[bool]]:
        """The conditions that the series of a study share, and with them its results."""
        known = _INDEX.patient_id.is_not(None)
        return [
            *_if_given(self.study_date, lambda value: _date(_INDEX.study_date, value)),
            *_if_given(self.accession_number, lambda value: _text(_INDEX.accession_number, value)),
            *_if_given(self.patient_id, lambda value: ~known | _text(_INDEX.patient_id, value)),
            *_if_given(self.patient_name, lambda value: ~known | _name(value)),
        ]

    def of_series(self) -> list[ColumnElement[bool]]:
        """The conditions on a received series."""
        return [
            *self.of_study(),
            *_if_given(self.modality, lambda value: _text(_INDEX.modality, value)),
            *_if_given(
                self.series_description, lambda value: _text(_INDEX.series_description, value)
            ),
            *_if_given(
                self.body_part_examined, lambda value: _text(_INDEX.body_part_examined, value)
            ),
        ]


class ArchiveSearch(Jobs):
    """Yields candidates page by page, so that a search reads no more than its results need."""

    def candidate_series(
        self, narrowing: Narrowing, skip: int = 0, *, with_instances: bool = False
    ) -> Iterator[StoredSeries]:
        """Yields received series without the first `skip`, the last received first.

        `with_instances` leaves out those whose instances the retention has deleted.
        """
        order = (SERIES.c.first_received_at, SERIES.c.series_instance_uid)
        query = _narrowed(select(SERIES), narrowing.of_series())
        if with_instances:
            query = query.where(
                exists().where(INSTANCES.c.series_instance_uid == SERIES.c.series_instance_uid)
            )
        yield from (stored_series(row) for row in self._pages(query, order, _PAGE_SIZE, skip))

    def count_candidate_series(self, narrowing: Narrowing) -> int:
        """Returns the number of these series."""
        query = _narrowed(select(func.count()).select_from(SERIES), narrowing.of_series())
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def candidate_studies(self, narrowing: Narrowing) -> Iterator[str]:
        """Yields the UIDs of studies, that of the last received series first."""
        order = (SERIES.c.first_received_at, SERIES.c.series_instance_uid)
        query = select(SERIES.c.study_instance_uid, *order)
        seen: set[str] = set()
        for row in self._pages(
            _narrowed(query, narrowing.of_study()), order, _STUDY_PAGE_SIZE, skip=0
        ):
            if row.study_instance_uid not in seen:
                seen.add(row.study_instance_uid)
                yield row.study_instance_uid

    def candidate_jobs(
        self, narrowing: Narrowing, states: Sequence[JobState]
    ) -> Iterator[list[Job]]:
        """Yields jobs in these states that have a result, the last created first, in groups."""
        order = (JOBS.c.created_at, JOBS.c.job_id)
        query = select(JOBS).where(JOBS.c.state.in_(states), JOBS.c.result_path.is_not(None))
        conditions = narrowing.of_study()
        if conditions:
            query = query.where(
                ~_is_read(JOBS.c.series_instance_uid)
                | exists().where(
                    _INDEX.series_instance_uid == JOBS.c.series_instance_uid, *conditions
                )
            )
        group: list[Job] = []
        for row in self._pages(query, order, _PAGE_SIZE, skip=0):
            group.append(self._job(row))
            if len(group) == _PAGE_SIZE:
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
        size: int,
        skip: int,
    ) -> Iterator[Row[Any]]:
        """Yields the rows, last first; each page is a short transaction of its own."""
        moment, key = order
        ordered = query.order_by(moment.desc(), key.desc()).limit(size)
        page = ordered.offset(skip)
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page).all()
            yield from rows
            if len(rows) < size:
                return
            last = rows[-1]._mapping
            position = tuple_(moment, key) < tuple_(last[moment], last[key])
            page = ordered.where(position)


def _narrowed(query: Select[Any], conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    if not conditions:
        return query
    joined = query.outerjoin(
        SERIES_INDEX, _INDEX.series_instance_uid == SERIES.c.series_instance_uid
    )
    # A series that is not in the index has no value there.
    is_unknown = or_(_INDEX.attributes_read.is_(None), _INDEX.attributes_read.is_(False))
    for condition in conditions:
        joined = joined.where(is_unknown | condition)
    return joined


def _is_read(series_uid: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(_INDEX.series_instance_uid == series_uid, _INDEX.attributes_read)


def _if_given(
    value: str, condition: Callable[[str], ColumnElement[bool]]
) -> list[ColumnElement[bool]]:
    return [condition(value)] if value else []


def _text(column: ColumnElement[str | None], pattern: str) -> ColumnElement[bool]:
    escaped = pattern.replace("/", "//").replace("%", "/%").replace("_", "/_")
    like = escaped.replace("*", "%").replace("?", "_")
    return column.like(like, escape="/") | column.contains(_SEVERAL_VALUES, autoescape=True)


def _date(column: ColumnElement[str | None], value: str) -> ColumnElement[bool]:
    first, _, last = value.partition("-")
    if value.count("-") != 1:
        return _text(column, value)
    after = column >= first
    before = func.substr(column, 1, len(last)) <= last
    several = column.contains(_SEVERAL_VALUES, autoescape=True)
    return several | (after & before if last else after)


def _name(pattern: str) -> ColumnElement[bool]:
    """Matches names that have the words of the pattern in their order, and some others."""
    for separator in "^=,*?":
        pattern = pattern.replace(separator, " ")
    escaped = searchable(pattern).replace("/", "//").replace("%", "/%").replace("_", "/_")
    like = f"%{escaped.replace(' ', '%')}%"
    return _INDEX.patient_search_text.like(like, escape="/")
