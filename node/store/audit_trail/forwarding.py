"""Which records of the audit trail a syslog server has, and which it still needs."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select
from sqlalchemy.engine import Connection

from node.store.audit_trail.chain import ChainedRecord
from node.store.audit_trail.tables import AUDIT_CHAINS, AUDIT_FORWARDING, AUDIT_RECORDS
from node.store.audit_trail.trail import chained_record
from node.store.repository import Repository

_R, _C, _F = AUDIT_RECORDS.c, AUDIT_CHAINS.c, AUDIT_FORWARDING.c


@dataclass(frozen=True)
class WaitingRecords:
    """Records of one chain that wait to be sent; `error` is why the last attempt failed."""

    chain: str
    count: int
    oldest_at: datetime
    error: str


class AuditForwarding(Repository):
    """The progress of sending the audit trail, for each chain."""

    def unsent_audit_records(self, chain: str, limit: int) -> list[ChainedRecord]:
        """Returns the records that were not sent yet, in their order."""
        with self._database.reading() as connection:
            sent = sent_sequence(connection, chain)
            query = select(AUDIT_RECORDS).where(_R.chain == chain, _R.sequence > sent)
            rows = connection.execute(query.order_by(_R.sequence).limit(limit))
            return [chained_record(row) for row in rows]

    def record_audit_sent(self, chain: str, sequence: int) -> None:
        """Records that the server has all records up to this one."""
        self._write(chain, {"sequence": sequence, "error": ""})

    def record_audit_not_sent(self, chain: str, error: str) -> None:
        """Records why the records after the last sent one could not be sent."""
        self._write(chain, {"error": error})

    def waiting_audit_records(self) -> list[WaitingRecords]:
        """Returns what waits, for each chain with records that were not sent."""
        sent = case((_F.sequence <= _C.sequence, _F.sequence), else_=_C.removed_sequence)
        chains = (
            select(_C.chain, _C.sequence, sent.label("sent"), _F.error)
            .select_from(AUDIT_CHAINS.outerjoin(AUDIT_FORWARDING, _F.chain == _C.chain))
            .where(_C.sequence > sent)
            .order_by(_C.chain)
        )
        found = []
        with self._database.reading() as connection:
            for row in connection.execute(chains).all():
                oldest = select(_R.happened_at).where(_R.chain == row.chain, _R.sequence > row.sent)
                first = connection.execute(oldest.order_by(_R.sequence).limit(1)).first()
                if first is not None:
                    count = row.sequence - row.sent
                    waiting = WaitingRecords(row.chain, count, first.happened_at, row.error or "")
                    found.append(waiting)
        return found

    def _write(self, chain: str, values: dict[str, object]) -> None:
        new = {"chain": chain, "sequence": 0, "error": ""} | values
        statement = self._database.insert(AUDIT_FORWARDING).values(new)
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["chain"], set_=values)
            )


def sent_sequence(connection: Connection, chain: str) -> int:
    """Returns the number of the last record that was sent; 0 before the first.

    It is 0 as well if the chain has no such record: somebody has changed the number. Everything is
    then sent again.
    """
    query = (
        select(_F.sequence)
        .join(AUDIT_CHAINS, _C.chain == _F.chain)
        .where(_F.chain == chain, _F.sequence <= _C.sequence)
    )
    return connection.execute(query).scalar_one_or_none() or 0
