"""Tables of the audit trail."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    Index,
    String,
    Table,
    Text,
    TypeDecorator,
)

from node.store.audit_trail.chain import NO_HASH
from node.store.database import UtcDateTime
from node.store.schema import METADATA

# What replaces a value that somebody has made unreadable: the hash of the record does not fit then.
UNREADABLE = "unreadable"
_UNREADABLE_TIME = datetime(1, 1, 1, tzinfo=UTC)


class _Objects(TypeDecorator[Any]):
    """Pairs of type and identifier as JSON. What is something else is read as one pair."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        decoded = super().result_processor(dialect, coltype)

        def pairs(value: Any) -> tuple[tuple[str, str], ...]:
            try:
                found = value if decoded is None else decoded(value)
                return tuple((str(each_type), str(one)) for each_type, one in found or ())
            except (TypeError, ValueError):
                return ((UNREADABLE, str(value)),)

        return pairs


class _Time(UtcDateTime):
    """A time in UTC. What is something else is read as the first day of the calendar."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        decoded = super().result_processor(dialect, coltype)

        def time(value: Any) -> Any:
            try:
                return value if decoded is None else decoded(value)
            except (TypeError, ValueError):
                return _UNREADABLE_TIME

        return time


_CHAIN = String(255)
_HASH = String(64)
_WORDS = String(32)

AUDIT_RECORDS = Table(
    "audit_records",
    METADATA,
    Column("chain", _CHAIN, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("happened_at", _Time, nullable=False),
    Column("action", _WORDS, nullable=False),
    Column("outcome", _WORDS, nullable=False),
    Column("actor", Text, nullable=False),
    Column("interface", _WORDS, nullable=False),
    Column("address", Text, nullable=False),
    Column("objects", _Objects, nullable=False),
    Column("detail", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("previous_hash", _HASH, nullable=False),
    Column("hash", _HASH, nullable=False),
    Index(None, "happened_at"),
    Index(None, "action", "happened_at"),
    Index(None, "outcome", "happened_at"),
    Index(None, "chain", "action", "sequence"),
)

# The last record of each chain, and the last one that retention has removed.
AUDIT_CHAINS = Table(
    "audit_chains",
    METADATA,
    Column("chain", _CHAIN, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", _HASH, nullable=False),
    Column("removed_sequence", BigInteger, nullable=False, server_default="0"),
    Column("removed_hash", _HASH, nullable=False, server_default=NO_HASH),
)

# The last record of each chain that the syslog server has, and why it has not those after it.
AUDIT_FORWARDING = Table(
    "audit_forwarding",
    METADATA,
    Column("chain", _CHAIN, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
)
