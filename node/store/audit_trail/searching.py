"""Reads those records of the audit trail that fit a search."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Self

from sqlalchemy import ColumnElement, Text, cast, literal, select, tuple_
from sqlalchemy.engine import Connection

from node.domain.audit.lost_records import LostRecords, parsed_lost_records
from node.domain.audit.records import AuditAction, AuditOutcome
from node.domain.errors import Rejected, RejectionReason
from node.store.audit_trail.ahead_of_clock import RunAhead, runs_ahead
from node.store.audit_trail.chain import ChainedRecord
from node.store.audit_trail.tables import AUDIT_RECORDS
from node.store.audit_trail.trail import chained_record
from node.store.repository import Repository

_R = AUDIT_RECORDS.c
_BATCH = 500
_CURSOR_TIME = "%Y-%m-%dT%H:%M:%S.%f"
# What orders the records; no two have the same values.
_PLACE = (_R.happened_at, _R.chain, _R.sequence)


class AuditOrder(Enum):
    """In which order records are read."""

    NEWEST_FIRST = auto()
    OLDEST_FIRST = auto()


@dataclass(frozen=True)
class AuditSearch:
    """What the wanted records have; None and empty texts do not restrict.

    Times are aware; `until` is excluded. `user` and `address` are parts, in upper or lower case.
    `object` is the whole identifier of one of the objects. Records with a time after `clock` stand
    where their chain has them; without it, where their time does.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: AuditAction | None = None
    outcome: AuditOutcome | None = None
    user: str = ""
    object: str = ""
    address: str = ""
    clock: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Returns the conditions of the query."""
        # The identifier is the second of a pair; within a text, JSON escapes quotation marks.
        pair_end = f", {json.dumps(self.object)}]"
        found: list[ColumnElement[bool]] = []
        if self.since is not None:
            found.append(_R.happened_at >= self.since)
        if self.until is not None:
            found.append(_R.happened_at < self.until)
        if self.action is not None:
            found.append(_R.action == self.action)
        if self.outcome is not None:
            found.append(_R.outcome == self.outcome)
        if self.user:
            found.append(_R.actor.icontains(self.user, autoescape=True))
        if self.address:
            found.append(_R.address.icontains(self.address, autoescape=True))
        if self.object:
            found.append(cast(_R.objects, Text).contains(pair_end, autoescape=True))
        return found


@dataclass(frozen=True, order=True)
class AuditCursor:
    """The place of a record among all records, by time; `str` and `parse` are inverse."""

    happened_at: datetime
    chain: str
    sequence: int

    @classmethod
    def of(cls, record: ChainedRecord) -> Self:
        """Returns the place of a record."""
        return cls(record.happened_at, record.chain, record.sequence)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the cursor of a text.

        Raises:
            Rejected: it is no cursor.
        """
        at, _, rest = text.partition("~")
        sequence, _, chain = rest.partition("~")
        try:
            time = datetime.strptime(at, _CURSOR_TIME).replace(tzinfo=UTC)
            return cls(time, chain, int(sequence))
        except ValueError as error:
            message = "the page does not exist: follow a link of the list instead of changing it"
            raise Rejected(RejectionReason.INVALID_REQUEST, message) from error

    def __str__(self) -> str:
        at = self.happened_at.astimezone(UTC).strftime(_CURSOR_TIME)
        return f"{at}~{self.sequence}~{self.chain}"

    def placed(self, ahead: Sequence[RunAhead]) -> Self:
        """Returns the place of a record that may be one of those ahead of the clock."""
        run = next((each for each in ahead if each.holds(self.chain, self.sequence)), None)
        return self if run is None else replace(self, happened_at=run.placed_at)

    def precedes(self, order: AuditOrder) -> ColumnElement[bool]:
        """The condition of records that come after it in this order."""
        values = (self.happened_at, self.chain, self.sequence)
        place = tuple_(
            *(literal(value, column.type) for value, column in zip(values, _PLACE, strict=True))
        )
        records = tuple_(*_PLACE)
        return records < place if order is AuditOrder.NEWEST_FIRST else records > place


@dataclass(frozen=True)
class _Window:
    """The records of a page: the first `limit` in an order, after a place."""

    limit: int
    after: AuditCursor | None
    order: AuditOrder

    @property
    def is_reversed(self) -> bool:
        """Whether the newest record comes first."""
        return self.order is AuditOrder.NEWEST_FIRST

    def among(self, ahead: Sequence[RunAhead]) -> Self:
        """Returns the window that begins where the chains have the records ahead of the clock."""
        return self if self.after is None else replace(self, after=self.after.placed(ahead))

    def by_time(
        self, connection: Connection, conditions: Sequence[ColumnElement[bool]]
    ) -> list[ChainedRecord]:
        """Returns its records where their times say."""
        begin = () if self.after is None else (self.after.precedes(self.order),)
        query = select(AUDIT_RECORDS).where(*conditions, *begin).order_by(*self._ordered(*_PLACE))
        return [chained_record(row) for row in connection.execute(query.limit(self.limit))]

    def of_run(
        self, connection: Connection, run: RunAhead, conditions: Sequence[ColumnElement[bool]]
    ) -> dict[AuditCursor, ChainedRecord]:
        """Returns its records of a run, with the place of each."""
        query = select(AUDIT_RECORDS).where(
            *conditions, _R.chain == run.chain, _R.sequence.between(run.first, run.last)
        )
        if self.after is not None:
            here = (run.placed_at, run.chain)
            there = (self.after.happened_at, self.after.chain)
            if here == there:
                earlier, later = (
                    _R.sequence < self.after.sequence,
                    _R.sequence > self.after.sequence,
                )
                query = query.where(earlier if self.is_reversed else later)
            elif (here > there) is self.is_reversed:
                return {}
        query = query.order_by(*self._ordered(_R.sequence)).limit(self.limit)
        records = (chained_record(row) for row in connection.execute(query))
        return {AuditCursor(run.placed_at, run.chain, each.sequence): each for each in records}

    def _ordered(self, *columns: ColumnElement[Any]) -> Iterator[ColumnElement[Any]]:
        return (each.desc() if self.is_reversed else each for each in columns)


class AuditSearches(Repository):
    """Searches of the audit trail."""

    def audit_page(
        self,
        search: AuditSearch,
        limit: int,
        after: AuditCursor | None = None,
        order: AuditOrder = AuditOrder.NEWEST_FIRST,
    ) -> list[ChainedRecord]:
        """Returns the first of the wanted records of all hosts, at most `limit`, by their times.

        With `after`, they begin after that place.
        """
        window = _Window(limit, after, order)
        with self._database.reading() as connection:
            ahead = () if search.clock is None else runs_ahead(connection, search.clock)
            if search.clock is None or not ahead:
                return window.by_time(connection, search.conditions())
            window = window.among(ahead)
            conditions = [*search.conditions(), _R.happened_at <= search.clock]
            found = {AuditCursor.of(each): each for each in window.by_time(connection, conditions)}
            for run in ahead:
                found |= window.of_run(connection, run, search.conditions())
        return [found[each] for each in sorted(found, reverse=window.is_reversed)[:limit]]

    def audit_records(
        self, search: AuditSearch, order: AuditOrder = AuditOrder.NEWEST_FIRST
    ) -> Iterator[ChainedRecord]:
        """Yields all wanted records of all hosts.

        No transaction is open in between: the caller may be slow to take them. Records
        that are added meanwhile may be among them.
        """
        cursor: AuditCursor | None = None
        while records := self.audit_page(search, _BATCH, cursor, order):
            yield from records
            cursor = AuditCursor.of(records[-1])

    def lost_audit_records(self, since: datetime) -> dict[str, LostRecords]:
        """Returns the records that could not be written, as the trail has stated since then.

        The keys are the chains.
        """
        found: dict[str, LostRecords] = {}
        search = AuditSearch(since=since, action=AuditAction.AUDIT_LOST)
        for statement in self.audit_records(search):
            lost = parsed_lost_records(statement.detail)
            if lost is not None:
                earlier = found.get(statement.chain)
                found[statement.chain] = lost if earlier is None else earlier + lost
        return found

    def absent_audit_hashes(self, hashes: Sequence[str]) -> tuple[str, ...]:
        """Returns those hashes that no record has."""
        query = select(_R.hash).where(_R.hash.in_(hashes))
        with self._database.reading() as connection:
            present = set(connection.execute(query).scalars())
        return tuple(each for each in hashes if each not in present)
