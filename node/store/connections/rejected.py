"""The table of rejected connections, and the number of rejections for each reason."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.engine import Connection

from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectedConnection,
    RejectionKey,
    RejectionTally,
)
from node.store.connections.tables import REJECTED_CONNECTIONS, REJECTION_COUNTS
from node.store.repository import Repository

# A port scanner that varies its AE title must neither fill the disk nor displace other senders.
MAX_ROWS = 5000
MAX_ROWS_PER_ADDRESS = 300
KEPT = timedelta(days=30)
_T = REJECTED_CONNECTIONS.c
_KEY = (_T.calling_ae, _T.called_ae, _T.address, _T.reason, _T.sop_class_uid, _T.status)


class RejectedConnections(Repository):
    """Rejected connections of the last 30 days, and counts since the database exists."""

    def record_rejections(
        self, tallies: Mapping[RejectionKey, RejectionTally], now: datetime
    ) -> None:
        """Adds the tallies to those stored; forgets old rows and those above the limits."""
        # In one order, so that two hosts do not wait for each other's rows.
        rows = sorted(tallies.items(), key=lambda item: _values(item[0]))
        counts = Counter[ListenerRejection]()
        with self._database.writing() as connection:
            for key, tally in rows:
                self._add(connection, key, tally)
                counts[key.reason] += tally.count
            for reason in sorted(counts):
                self._count(connection, reason, counts[reason])
            _delete_excess(connection, now)

    def rejected_connections(self, now: datetime) -> list[RejectedConnection]:
        """Returns the rejected connections, the latest first."""
        query = (
            select(REJECTED_CONNECTIONS)
            .where(_T.last_at >= now - KEPT)
            .order_by(_T.last_at.desc(), *_KEY)
        )
        with self._database.reading() as connection:
            return [
                RejectedConnection(
                    RejectionKey(
                        row.calling_ae,
                        row.called_ae,
                        row.address,
                        _reason(row.reason),
                        row.sop_class_uid,
                        row.status,
                    ),
                    RejectionTally(
                        row.rejections,
                        row.first_at,
                        row.last_at,
                        tuple(json.loads(row.transfer_syntax_uids)),
                    ),
                )
                for row in connection.execute(query)
            ]

    def rejection_counts(self) -> dict[ListenerRejection, int]:
        """Returns how often each reason has occurred since the database exists."""
        query = select(REJECTION_COUNTS)
        with self._database.reading() as connection:
            found = {row.reason: row.rejections for row in connection.execute(query)}
        return {reason: found.get(reason.value, 0) for reason in ListenerRejection}

    def _add(self, connection: Connection, key: RejectionKey, tally: RejectionTally) -> None:
        names = [column.name for column in _KEY]
        row = dict(zip(names, _values(key), strict=True)) | {
            "rejections": tally.count,
            "first_at": tally.first_at,
            "last_at": tally.last_at,
            "transfer_syntax_uids": json.dumps(tally.transfer_syntax_uids),
        }
        insert = self._database.insert(REJECTED_CONNECTIONS).values(row)
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=names,
                set_={
                    "rejections": _T.rejections + insert.excluded.rejections,
                    "last_at": insert.excluded.last_at,
                    "transfer_syntax_uids": insert.excluded.transfer_syntax_uids,
                },
            )
        )

    def _count(self, connection: Connection, reason: ListenerRejection, count: int) -> None:
        insert = self._database.insert(REJECTION_COUNTS).values(
            reason=reason.value, rejections=count
        )
        total = REJECTION_COUNTS.c.rejections + insert.excluded.rejections
        connection.execute(
            insert.on_conflict_do_update(index_elements=["reason"], set_={"rejections": total})
        )


def _reason(text: str) -> ListenerRejection:
    """Returns the reason; `other` for one that a host with a newer version has stored."""
    known = text in set(ListenerRejection)
    return ListenerRejection(text) if known else ListenerRejection.OTHER


def _values(key: RejectionKey) -> tuple[str, ...]:
    return (
        key.calling_ae_title,
        key.called_ae_title,
        key.address,
        key.reason.value,
        key.sop_class_uid,
        key.status,
    )


def _delete_excess(connection: Connection, now: datetime) -> None:
    connection.execute(delete(REJECTED_CONNECTIONS).where(_T.last_at < now - KEPT))
    latest_first = (_T.last_at.desc(), *_KEY)
    ranked = select(
        *_KEY,
        func.row_number().over(order_by=latest_first).label("overall"),
        func.row_number().over(partition_by=_T.address, order_by=latest_first).label("of_address"),
    ).subquery()
    excess = select(*(ranked.c[column.name] for column in _KEY)).where(
        (ranked.c.overall > MAX_ROWS) | (ranked.c.of_address > MAX_ROWS_PER_ADDRESS)
    )
    connection.execute(delete(REJECTED_CONNECTIONS).where(tuple_(*_KEY).in_(excess)))
