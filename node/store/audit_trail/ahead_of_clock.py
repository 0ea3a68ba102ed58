"""Records of the audit trail whose times are in the future: a clock was wrong when they were made.

They keep their times, and stand where their chain has them, before the record that follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from node.store.audit_trail.tables import AUDIT_RECORDS

_R = AUDIT_RECORDS.c


@dataclass(frozen=True)
class RunAhead:
    """Records of a chain, from `first` to `last`, that are all ahead of the clock.

    `placed_at` is the time of the record that follows, or that of the clock where none does.
    """

    chain: str
    first: int
    last: int
    placed_at: datetime

    def holds(self, chain: str, sequence: int) -> bool:
        """Whether the record with this number is one of them."""
        return self.chain == chain and self.first <= sequence <= self.last


def runs_ahead(connection: Connection, clock: datetime) -> Sequence[RunAhead]:
    """Returns the records with times after that of the clock; there are none at most sites."""
    # By itself, this reads an index on the times; together with what follows, SQLite reads all.
    late = select(_R.chain, _R.sequence).where(_R.happened_at > clock).cte("late")
    one = late.prefix_with("MATERIALIZED").c
    number = func.row_number().over(partition_by=one.chain, order_by=one.sequence)
    # Of records that follow each other, both numbers grow alike.
    ahead = select(one.chain, one.sequence, (one.sequence - number).label("run")).subquery()
    first, last = func.min(ahead.c.sequence), func.max(ahead.c.sequence)
    runs = select(ahead.c.chain, first, last).group_by(ahead.c.chain, ahead.c.run)
    return [
        RunAhead(chain, first, last, _time_after(connection, chain, last, clock) or clock)
        for chain, first, last in connection.execute(runs).all()
    ]


def _time_after(
    connection: Connection, chain: str, sequence: int, clock: datetime
) -> datetime | None:
    """Returns the time of the first later record of the chain that is not ahead of the clock."""
    later = select(_R.happened_at).where(
        _R.chain == chain, _R.sequence > sequence, _R.happened_at <= clock
    )
    return connection.execute(later.order_by(_R.sequence).limit(1)).scalar()
